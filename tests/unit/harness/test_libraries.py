"""Libraries that a program needs and its image lacks."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.support.archives import write
from tests.support.elf_files import library
from worker_images.harness import libraries
from worker_images.model.oci import archive


@pytest.mark.parametrize(
    ("name", "missing"), [("libone.so.1", {}), ("libtwo.so.1", {"/usr/bin/x": {"libone.so.1"}})]
)
def test_missing_libraries_are_reported_by_program(
    name: str, missing: dict[str, set[str]], tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in {
            f"usr/lib/{name}": b"",
            "usr/bin/script": b"#!/bin/sh\n",
            "usr/bin/x": library(("libone.so.1",)),
        }.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found = archive.load(write(tmp_path / "image.tar", [buffer.getvalue()]), tmp_path)
    assert libraries.needed(found) == {"/usr/bin/x": {"libone.so.1"}}
    assert libraries.missing(found) == missing
