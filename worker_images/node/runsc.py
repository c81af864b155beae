"""One sandbox from a bundle: its output, and its debug log, where the reason stands that users
never see.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.node.place import SECONDS, Answer, Place, run

# What a nested worker can count on: no network of its own, no virtualisation, no cgroup that it may
# write.
FLAGS = (
    "--network=none",
    "--platform=systrap",
    "--ignore-cgroups",
    "--overlay2=root:memory",
    "--nvproxy",
)


@dataclass(frozen=True)
class Outcome(Answer):
    """What the sandbox's command came to, and everything that runsc logged."""

    log: str

    @property
    def everything(self) -> str:
        """All that was said, wherever."""
        return f"{self.output}\n{self.errors}\n{self.log}"


def flags(place: Place, bundle: Path, more: Sequence[str] = (), *, debug: bool = True) -> list[str]:
    """runsc with state and log below the bundle's folder.

    What is measured is not logged in full.
    """
    inside = f"{place.host}{bundle.resolve()}"
    log = ["--debug", f"--debug-log={inside}/log/"] if debug else []
    return [place.runsc, f"--root={inside}/state", *log, *FLAGS, *more]


def sandbox(
    place: Place,
    bundle: Path,
    more: Sequence[str] = (),
    seconds: float = SECONDS,
    *,
    debug: bool = True,
) -> Outcome:
    """Run the bundle to its end; raises PlaceError."""
    known = set(bundle.glob("log/*"))
    (bundle / "log").mkdir(exist_ok=True)
    identity = f"worker-{secrets.token_hex(6)}"
    found = run(
        place,
        [
            *flags(place, bundle, more, debug=debug),
            "run",
            f"--bundle={place.host}{bundle.resolve()}",
            identity,
        ],
        seconds,
    )
    logs = sorted(set(bundle.glob("log/*")) - known)
    return Outcome(
        found.status,
        found.output,
        found.errors,
        "".join(path.read_text(errors="replace") for path in logs),
    )
