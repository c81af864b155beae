"""The archives of `build.py cluster export`."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.handover import Report
from tests.support.records import RECORD
from worker_images import files
from worker_images.build import kit
from worker_images.build.go_programs import Parts
from worker_images.cluster import export, parts
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.model import seal


def silent(_: str) -> None:
    """Progress that is not shown."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small clone with the image full, whose parts of the cluster are small files."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(files, "CACHE", cache)
    monkeypatch.setattr(export, "CACHE", cache)
    root = tmp_path / "checkout"
    for name, text in {
        "scripts/cluster/exported": "#!/bin/sh\n",
        "requirements.txt": "one==1\n",
        ".gitignore": "/out/\n",
        "out/full/image.tar": "an image",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    RECORD.write(root / "out/full/build.json")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    for name in ("tools/cluster-1/usr/bin/ip", "go-programs/kubernetes-1", "go-programs/pause-1"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text(name)
    program = cache / "go-programs/kubernetes-1"
    monkeypatch.setattr(parts, "debian", lambda *_: cache / "tools/cluster-1")
    monkeypatch.setattr(parts, "pause", lambda *_: cache / "go-programs/pause-1")
    monkeypatch.setattr(export, "_kubernetes", lambda *_: program)
    monkeypatch.setattr(kit, "controls", lambda _: program)
    monkeypatch.setattr(export, "_install", lambda _, target, __: target.mkdir())
    return root


def written(checkout: Path, folder: Path) -> Path:
    """Write the archives and unpack both, as on another machine."""
    own = Parts.of(ROOT)
    for path in export.write(checkout, own, folder / "archives", "3.12", silent):
        assert path.stat().st_mode & 0o777 == 0o600
        with tarfile.open(path) as tar:
            # Python before 3.11.4 has no argument for it.
            tar.extraction_filter = lambda member, _: member
            tar.extractall(folder / "there")  # noqa: S202 - an archive of our own
    return folder / "there" / export.FOLDER


def test_archives_hold_the_checkout_its_cache_and_the_images(
    checkout: Path, tmp_path: Path
) -> None:
    found = written(checkout, tmp_path)
    names = {str(each.relative_to(found)) for each in found.rglob("*") if each.is_file()}
    assert names == {
        "start",
        ".gitignore",
        "requirements.txt",
        "scripts/cluster/exported",
        ".cache/worker-images/tools/cluster-1/usr/bin/ip",
        ".cache/worker-images/go-programs/kubernetes-1",
        ".cache/worker-images/go-programs/pause-1",
        ".cache/worker-images/results.key",
        "out/full/image.tar",
        "out/full/build.json",
        "out/gpu-controls/runsc",
    }


def test_release_knows_the_key_of_the_other_machine(checkout: Path, tmp_path: Path) -> None:
    found = written(checkout, tmp_path)
    key = seal.create(found / ".cache/worker-images/results.key")
    assert key in seal.known_keys(checkout)


def test_reports_of_the_image_layer_have_its_seal(checkout: Path, tmp_path: Path) -> None:
    Report("image").write(checkout / "out/full", checkout)
    found = written(checkout, tmp_path)
    report = found / "out/full/image.xml"
    key = seal.create(found / ".cache/worker-images/results.key")
    assert seal.fault(report, report.read_bytes(), [key]) == ""


def test_report_that_was_edited_is_left_out(checkout: Path, tmp_path: Path) -> None:
    path = Report("image").write(checkout / "out/full", checkout)
    path.write_text(path.read_text().replace("test_one", "test_four"))
    assert not (written(checkout, tmp_path) / "out/full/image.xml").exists()


def test_export_without_full_names_the_next_step(checkout: Path, tmp_path: Path) -> None:
    (checkout / "out/full/image.tar").unlink()
    with pytest.raises(UsageError, match="runtimes of worker:full; run: make full"):
        written(checkout, tmp_path)


@pytest.mark.parametrize("python", ["3", "3.10", "2.7", "3.12.1"])
def test_python_that_the_commands_do_not_run_on_is_refused(
    python: str, checkout: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"name the other machine's Python, such as 3\.12"):
        export.write(checkout, Parts.of(ROOT), tmp_path, python, silent)
