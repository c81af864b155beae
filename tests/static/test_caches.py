"""Are all build steps free of caches that another Dockerfile can write to?

BuildKit gives a cache mount to every step that names it, and nothing hashes what it holds.
"""

import itertools
import re
from pathlib import Path

import pytest

from worker_images.build import generated
from worker_images.files import ROOT
from worker_images.model import project

FOLDERS = ("images", "tests", "examples")
MOUNT = re.compile(r"\btype=cache\b", re.IGNORECASE)
STEP = re.compile(r"RUN\b", re.IGNORECASE)
REASON = re.compile(r"# type=cache: \w+ \w+")


def unexplained(text: str) -> list[str]:
    """Return the first line of each step with a cache mount and without a reason above it."""
    lines = ["", *text.splitlines()]
    begins = [number for number, line in enumerate(lines) if STEP.match(line)]
    return [
        lines[begin]
        for begin, end in itertools.pairwise([*begins, len(lines)])
        if MOUNT.search("\n".join(lines[begin:end])) and not REASON.match(lines[begin - 1])
    ]


def templates() -> list[Path]:
    """Return the committed Dockerfiles and their templates."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return [path for path in found if path.suffix == ".j2" or path.name.startswith("Dockerfile")]


def test_no_dockerfile_has_an_unexplained_cache_mount() -> None:
    found = {path: unexplained(path.read_text()) for path in templates()}
    assert len(found) > 50
    assert not [path for path, steps in found.items() if steps]


def test_rendered_dockerfiles_have_no_cache_mount_at_all() -> None:
    """Another Dockerfile cannot change an image through a cache."""
    texts = generated.files(project.load(ROOT))
    dockerfiles = [text for path, text in texts.items() if path.name.startswith("Dockerfile")]
    assert len(dockerfiles) == 4
    assert not [text for text in dockerfiles if MOUNT.search(text)]
    assert not MOUNT.search((ROOT / "images/Dockerfile.lock.j2").read_text())


EXAMPLE = "RUN --network=none \\\n    --mount={mount},target=/root/.cache \\\n    go build\n"


@pytest.mark.parametrize(
    ("above", "mount", "found"),
    [
        ("", "type=cache", True),
        ("", "id=go,TYPE=cache", True),
        ("# A fast build.\n", "type=cache", True),
        ("# type=cache: only a mutant\n", "type=cache", False),
        ("# type=cache: only a mutant\n\n", "type=cache", True),
        ("", "type=tmpfs", False),
    ],
)
def test_cache_mount_without_a_reason_is_found(above: str, mount: str, found: bool) -> None:
    """A control of the search for cache mounts."""
    text = f"FROM scratch\n{above}{EXAMPLE.format(mount=mount)}RUN true\n"
    assert bool(unexplained(text)) is found
