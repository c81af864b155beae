"""Does verify-release open only regular files of an OCI folder?"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import small_releases
from tests.support.small_releases import PARTS, Factory, parts
from worker_images.files import ROOT

# A command that waits for a FIFO does not end.
SECONDS = 60


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    parent = os.open(path.parent, os.O_RDONLY)
    # The path of a socket has at most 108 bytes.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{parent}/{path.name}")
    os.close(parent)


def _device(path: Path) -> None:
    os.mknod(path, 0o020666, os.makedev(1, 5))


def _link(path: Path) -> None:
    """A link to the right bytes."""
    path.symlink_to(path.with_name(f"{path.name}.real"))


def _folder(path: Path) -> None:
    path.mkdir()


SPECIAL = [
    *((part, make) for part in ("index.json", "layer") for make in (_socket, _device, _folder)),
    *((part, make) for part in ("index.json", "oci-layout", *PARTS) for make in (_fifo, _link)),
]


@pytest.mark.parametrize(("part", "make"), SPECIAL)
def test_only_regular_files_are_opened(
    part: str,
    make: Callable[[Path], None],
    factory: Factory,
) -> None:
    """A command that waits would not end; a link is refused even if its target is sound."""
    draft = factory.draft()
    local = small_releases.composed(factory, draft)
    names = parts(local, draft)
    path = local.path(names[part]) if part in names else local.folder / part
    path.rename(path.with_name(f"{path.name}.real"))
    make(path)
    command = [sys.executable, "build.py", "verify-release", f"oci:{local.folder}:1.0-slim"]
    command += ["--key", str(factory.verifier.key)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 7, done.stderr
    assert "Traceback" not in done.stderr
    name = names.get(part, part)
    (fault,) = [each for each in done.stderr.splitlines() if f"{name} is " in each]
    texts = ("is a link", "is not a regular file", "is not a file that can be read: No such device")
    assert texts.index(next(text for text in texts if text in fault)) == (
        0 if make is _link else 2 if make is _socket else 1
    )
