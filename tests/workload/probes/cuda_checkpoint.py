#!/usr/bin/env python3
"""Replaces NVIDIA's cuda-checkpoint for runsc, with libcuda: --get-state and --toggle of --pid."""

import argparse
import ctypes

STATES = ("running", "locked", "checkpointed", "failed")


def main() -> None:
    """Print the state of a process, or move its GPU memory to the host and back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pid", type=int, required=True)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--get-state", action="store_true")
    action.add_argument("--toggle", action="store_true")
    arguments = parser.parse_args()
    library = ctypes.CDLL("libcuda.so.1")
    state = ctypes.c_int()
    _call(library, "GetState", arguments.pid, ctypes.byref(state))
    if arguments.get_state:
        print(STATES[state.value])
        return
    # Larger than the options structure of any call; zeros request no option.
    options = ctypes.byref(ctypes.create_string_buffer(256))
    for name in (
        ("Lock", "Checkpoint") if STATES[state.value] == "running" else ("Restore", "Unlock")
    ):
        _call(library, name, arguments.pid, options)


def _call(library: ctypes.CDLL, name: str, pid: int, value: object) -> None:
    if code := getattr(library, f"cuCheckpointProcess{name}")(pid, value):
        text = ctypes.c_char_p()
        library.cuGetErrorName(code, ctypes.byref(text))
        raise SystemExit(f"cuCheckpointProcess{name}: {code} {(text.value or b'').decode()}")


if __name__ == "__main__":
    main()
