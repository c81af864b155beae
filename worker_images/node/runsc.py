"""Runs one sandbox from a bundle, and collects its output and runsc's debug log."""

import contextlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.node.driver.capabilities import ALLOWED, DEFAULT
from worker_images.node.place import TIMEOUT_SECONDS, CommandResult, Place, PlaceError, run

# The limit of the call that ends a sandbox.
DELETE_SECONDS = 30.0


def flags(
    network: str = "none",
    *,
    limited: bool = False,
    gpus: bool = True,
    capabilities: Sequence[str] = DEFAULT,
) -> tuple[str, ...]:
    """Return the flags for a container: its network as in `Container`, limits, GPUs, capabilities.

    Without limits runsc needs no writable control group, and a worker no virtualization.
    """
    kind = network if network in {"none", "host"} else "sandbox"
    return (
        f"--network={kind}",
        "--platform=systrap",
        *(() if limited else ("--ignore-cgroups",)),
        "--overlay2=root:memory",
        *(("--nvproxy",) if gpus else ()),
        *(
            (f"--{ALLOWED}={','.join(capabilities)}",)
            if gpus and {*capabilities} - {*DEFAULT}
            else ()
        ),
    )


FLAGS = flags()


@dataclass(frozen=True)
class SandboxResult(CommandResult):
    """The result of the sandbox's command, with runsc's debug log."""

    log: str

    @property
    def all_output(self) -> str:
        """The output, the errors and the log."""
        return f"{self.output}\n{self.errors}\n{self.log}"


def command(
    place: Place, bundle: Path, more: Sequence[str] = (), *, debug: bool = True
) -> list[str]:
    """Return runsc with its flags; its state and its debug log are in the bundle's folder."""
    state = f"--root={place.host}{bundle.resolve()}/state"
    log = debug_flags(place, bundle) if debug else ()
    return [place.runsc, state, *log, *FLAGS, *place.flags, *more]


def debug_flags(place: Place, bundle: Path) -> tuple[str, ...]:
    """Return the flags with which runsc writes its debug logs into the bundle's folder."""
    return ("--debug", f"--debug-log={place.host}{bundle.resolve()}/log/")


def give(bundle: Path, user: int) -> None:
    """Give a bundle, with a folder for logs, to the user who runs runsc."""
    (bundle / "log").mkdir(exist_ok=True)
    if user:
        for path in (bundle, *bundle.rglob("*")):
            os.chown(path, user, user, follow_symlinks=False)


def run_sandbox(
    place: Place,
    bundle: Path,
    more: Sequence[str] = (),
    seconds: float = TIMEOUT_SECONDS,
    *,
    debug: bool = True,
) -> SandboxResult:
    """Run the bundle until it ends; raises PlaceError.

    Without `debug` runsc writes no log, which would slow a measurement down.
    """
    known = set(bundle.glob("log/*"))
    give(bundle, place.user)
    name = f"worker-{secrets.token_hex(6)}"
    own = command(place, bundle, more, debug=debug)
    try:
        start = ["run", f"--bundle={place.host}{bundle.resolve()}", name]
        result = run(place, [*own, *start], seconds)
    except BaseException:
        # Parts of a sandbox that was killed would keep the GPU busy.
        with contextlib.suppress(PlaceError):
            run(place, [*own, "delete", "--force", name], DELETE_SECONDS)
        raise
    logs = sorted(set(bundle.glob("log/*")) - known)
    return SandboxResult(
        result.status,
        result.output,
        result.errors,
        "".join(path.read_text(errors="replace") for path in logs),
    )
