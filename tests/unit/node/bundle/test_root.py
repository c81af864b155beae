"""bundle refuses a root that runsc cannot use, or says that it did not see it."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.node.bundle import root
from worker_images.node.cli import main
from worker_images.node.node import Node

Capture = pytest.CaptureFixture[str]


def run(folder: Path, rootfs: Path | str, *more: str) -> int:
    paths = ["--rootfs", str(rootfs), "--into", f"{folder}/bundle"]
    return main(["bundle", *paths, *more, "--", "true"], ROOT)


def lay_out(folder: Path) -> None:
    """Create what a caller may take for the root of an image."""
    (folder / "empty").mkdir()
    (folder / "layout/blobs").mkdir(parents=True)
    (folder / "layout/oci-layout").write_text("{}")
    (folder / "file").write_text("text")
    with tarfile.open(folder / "image.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("manifest.json"), io.BytesIO())
    with tarfile.open(folder / "image.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("manifest.json"), io.BytesIO())
    (folder / "link").symlink_to("none")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none", "none does not exist"),
        ("none/below", "none/below does not exist"),
        ("file/below", "file/below does not exist"),
        ("link", "link does not exist"),
        ("file", "file is not a folder"),
        ("image.tar", "image.tar is an image archive"),
        ("image.tar.gz", "image.tar.gz is an image archive"),
        ("layout", "layout is an OCI layout"),
        ("empty", "empty is empty"),
    ],
)
def test_root_that_runsc_cannot_use_is_refused(
    name: str, problem: str, gpu: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert gpu.driver
    lay_out(tmp_path)
    assert run(tmp_path, tmp_path / name) == UsageError.exit_code
    error = capsys.readouterr().err
    assert error.startswith(f"bundle: --rootfs {tmp_path}/{name}")
    assert problem in error
    assert "unpack the user's image into a folder, and name that folder" in error
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("rootfs", "host", "status"),
    [
        ("{}/rootfs", "", 0),
        ("{}/rootfs/", "", 0),
        ("/host{}/rootfs", "/host", 0),
        ("{}/host/rootfs", "{}/host", 0),
        ("/host{}/none", "/host", 2),
        ("/hosts{}/rootfs", "/host", 0),
        ("/host{}/rootfs", "", 2),
    ],
)
def test_root_below_the_host_is_looked_for_on_this_machine(
    rootfs: str, host: str, status: int, gpu: Node, tmp_path: Path
) -> None:
    assert gpu.driver
    (tmp_path / "host/rootfs/bin").mkdir(parents=True)
    more = ("--host", host.format(tmp_path)) if host else ()
    assert run(tmp_path, rootfs.format(tmp_path), *more) == status


def test_root_that_only_runsc_sees_is_a_note(gpu: Node, tmp_path: Path, capsys: Capture) -> None:
    """runsc is in a container, and the root is not on the node."""
    assert gpu.driver
    assert run(tmp_path, "/run/only-there", "--host", "/host") == 0
    note = "--rootfs /run/only-there was not checked: this machine does not have it"
    assert f"note    {note}" in capsys.readouterr().out
    assert run(tmp_path, "/run/only-there", "--host", "/host", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["notes"]
    assert found.startswith(note)
    assert run(tmp_path, tmp_path / "rootfs", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_root_that_this_user_may_not_read_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This test may run as root, to whom every folder is open."""

    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", closed)
    assert "was not checked: this user may not read it" in root.check(tmp_path)


def test_root_through_a_link_is_written_without_it(gpu: Node, tmp_path: Path) -> None:
    """runsc mounts nothing through a link: failed to safely mount."""
    assert gpu.driver
    (tmp_path / "real/rootfs/bin").mkdir(parents=True)
    (tmp_path / "run").symlink_to("real")
    assert run(tmp_path, tmp_path / "run/rootfs") == 0
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    assert config["root"]["path"] == f"{tmp_path}/real/rootfs"


def test_network_that_is_no_namespace_is_refused(
    gpu: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert gpu.driver
    (tmp_path / "image/bin").mkdir(parents=True)
    (tmp_path / "job").touch()
    assert run(tmp_path, tmp_path / "image", "--network", "/proc/self/ns/net") == 0
    assert run(tmp_path, tmp_path / "image", "--network", f"{tmp_path}/job") == 2
    assert f"--network {tmp_path}/job is not a network namespace" in capsys.readouterr().err
