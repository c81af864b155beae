"""Signatures of known causes, and what is known of nvproxy's calls; both are data."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from worker_images.node.explain import xids

CAUSES = Path(__file__).parent / "causes.json"
CALLS = Path(__file__).parent / "calls.json"
# The rank of what follows from a cause of another rank: shown only without one of those.
AFTER = "after "
# The rank of what is shown, and is no cause.
NOTE = "note"
# A writer, and how a message can be one that a program went on after: every message of which the
# program is seen to go on, or only in a container that shows no sign of a GPU.
RUNTIME = "runtime"
PROGRAM, PROBE = "program", "probe"
# Numbers of NVIDIA's Xid errors, in a pattern.
XIDS = re.compile(r"<xids: (\w{1,20})>")
UNKNOWN_CAPABILITY = "graphics,video,profiling"
# A call as nvproxy names it: its kind, and its last number.
CALL = re.compile(r"(control command|allocation class|frontend ioctl|uvm ioctl)\b.*?(\S+)$")


@dataclass(frozen=True)
class LogSignature:
    """A pattern for lines of a log, and the cause that they show; {0} is the first group.

    `rank` is the part of a sandbox's life that fails: start, checkpoint, call (of the driver),
    program, platform (Kubernetes, containerd, Docker), AFTER one of them, or NOTE.

    Every match contains one of the needles, for which a search is fast. `examples` are lines that
    the pattern matches, and `source` is where they come from. With an event of the reason `end`
    (several are separated by |) that comes later to the same pod the cause is over. With a
    `writer`, only its lines count, not the same words of a program. `recovery` is how a program
    can go on after the message.
    """

    name: str
    rank: str
    needles: tuple[str, ...]
    pattern: str
    message: str
    step: str
    source: str
    examples: tuple[str, ...]
    end: str = ""
    writer: str = ""
    recovery: str = ""


def load() -> tuple[LogSignature, ...]:
    """All signatures, the most specific ones first."""
    rows = json.loads(CAUSES.read_text(encoding="utf-8"))
    return tuple(
        LogSignature(
            **row
            | {
                "needles": tuple(row["needles"]),
                "examples": tuple(row["examples"]),
                "pattern": XIDS.sub(lambda found: xids.numbers(found[1]), row["pattern"]),
            }
        )
        for row in rows
    )


# No pattern takes more than linear time: repetitions are limited, or cannot pass their own start.
SIGNATURES = load()


@cache
def _calls() -> Mapping[str, Mapping[str, Mapping[str, list[str]]]]:
    found: Mapping[str, Mapping[str, Mapping[str, list[str]]]] = json.loads(
        CALLS.read_text(encoding="utf-8")
    )
    return found


def capability(call: str) -> str:
    """The driver capability that a call of nvproxy needs, by its number or its family."""
    kind, number = _parsed(call)
    known = _calls()["capabilities"].get(kind, {})
    names = [name for name, numbers in known.items() if hex(number) in numbers]
    if names:
        return names[0]
    # The last byte of a class is its family; a control command begins with its class.
    family = hex((number >> 16 if kind == "control command" else number) & 0xFF)
    return str(_calls()["families"].get(family, UNKNOWN_CAPABILITY))


def harmless(call: str) -> str:
    """What a program does without the answer to a call; empty if that is not known."""
    kind, number = _parsed(call)
    return str(_calls()["harmless"].get(kind, {}).get(f"0x{number:08x}", ""))


def _parsed(call: str) -> tuple[str, int]:
    found = CALL.search(call)
    if not found:
        return "", 0
    try:
        return found[1], int(found[2], 0)
    except ValueError:
        return found[1], 0
