"""Cached tars are written once and checked at each use."""

from pathlib import Path

import pytest

from worker_images.build import tars
from worker_images.build.inputs import Root, Tar
from worker_images.fetch import apt
from worker_images.files import ROOT
from worker_images.model.rootfs import load

BASE = Root("base", (), load(ROOT))


def write(_: Tar, path: Path) -> None:
    """Write a tar's file with known contents."""
    path.write_text("right")


def test_tar_is_assembled_again_when_it_is_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "CACHE", tmp_path)
    lines = list[str]()
    for number in range(3):
        folder = tars.cleared(tmp_path / f"context-{number}")
        tars.place(folder, [BASE], write, 1, lines.append)
    assert lines == ["assembling base.tar"]
    (tar,) = (tmp_path / "roots").glob("*.tar")
    tar.write_text("wrong")
    tars.place(tars.cleared(tmp_path / "context"), [BASE], write, 1, lines.append)
    assert (tmp_path / "context" / "base.tar").read_text() == "right"
    assert len(lines) == 2
    assert apt.sha256(tar) == tar.with_suffix(".sha256").read_text()


def test_link_is_a_hard_link_on_one_file_system(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("before")
    tars.link(tmp_path / "source", tmp_path / "linked")
    assert (tmp_path / "linked").samefile(tmp_path / "source")
