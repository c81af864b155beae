"""Does every build stage give its files the time of versions.yaml?

BuildKit sets later times back to that of the lock, so that a file with the time of its build would
change with every lock.
"""

from pathlib import Path

import dockerfile
import pytest

from worker_images.files import ROOT
from worker_images.model import pins

TIME = pins.load(ROOT / "versions.yaml")[0].file_time
FILES = sorted(ROOT.glob("images/*/Dockerfile.worker"))
OUT = f"/out-{TIME}"
DATED = (
    f"for path in $(du --all {OUT} | cut --fields=2); do touch --no-dereference --date=@{TIME}"
    ' "${path}" || exit; done'
)


def undated(text: str) -> list[str]:
    """Return the last step of each stage that writes below OUT and does not date it at the end."""
    stages: list[list[str]] = []
    for step in dockerfile.parse_string(text):
        if step.cmd.lower() == "from":
            stages.append([])
        elif stages:
            stages[-1].append(step.original)
    makers = [steps for steps in stages if any("RUN" in step and OUT in step for step in steps)]
    return [steps[-1] for steps in makers if not steps[-1].endswith(DATED)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_stage_dates_its_files_at_its_end(path: Path) -> None:
    assert DATED in path.read_text()
    assert undated(path.read_text()) == []


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (f"RUN make {OUT}/x && {DATED}", 0),
        (f"RUN make {OUT}/x", 1),
        (f"RUN make {OUT}/x && {DATED}\nRUN make {OUT}/y", 1),
        (f"RUN make {OUT}/x && {DATED.replace(TIME, '1')}", 1),
        (f"ADD criu.tar {OUT}/", 0),
    ],
)
def test_stage_that_does_not_date_its_files_is_found(steps: str, found: int) -> None:
    """A control of the search for stages."""
    assert len(undated(f"FROM base AS one\n{steps}\nFROM base AS two\n")) == found
