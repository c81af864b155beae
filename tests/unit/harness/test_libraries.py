"""Libraries that a program needs and its image lacks."""

from pathlib import Path

import pytest

from tests.support.archives import files_layer, write
from tests.support.elf_files import go_program, library
from worker_images.harness import libraries
from worker_images.model.oci import archive


@pytest.mark.parametrize(
    ("name", "missing"), [("libone.so.1", {}), ("libtwo.so.1", {"/usr/bin/x": {"libone.so.1"}})]
)
def test_missing_libraries_are_reported_by_program(
    name: str, missing: dict[str, set[str]], tmp_path: Path
) -> None:
    files = {
        f"usr/lib/{name}": b"",
        "usr/bin/script": b"#!/bin/sh\n",
        "usr/bin/x": library(("libone.so.1",)),
    }
    found = archive.load(write(tmp_path / "image.tar", [files_layer(files)]), tmp_path)
    assert libraries.needed(found) == {"/usr/bin/x": {"libone.so.1"}}
    assert libraries.missing(found) == missing


def test_programs_for_another_architecture_are_found(tmp_path: Path) -> None:
    """Machine 62 is amd64, 183 is arm64."""
    files = {"usr/bin/here": go_program(machine=62), "usr/bin/there": go_program(machine=183)}
    found = archive.load(write(tmp_path / "image.tar", [files_layer(files)]), tmp_path)
    assert libraries.foreign(found, "amd64") == {"/usr/bin/there"}
    assert libraries.foreign(found, "arm64") == {"/usr/bin/here"}
