"""The project of beta9 builds, its programs start, and the layers of full are unchanged."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import record
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model import project, results
from worker_images.model.ledger import Ledger
from worker_images.model.lock import Lock
from worker_images.model.oci import archive
from worker_images.model.oci.image import Entry, Image, Layer

Run = Callable[..., str]

EXAMPLE = ROOT / "examples" / "beta9"
OF_FULL = ("base", *project.read(ROOT).catalog.variants["full"].components)
REPLACED = "the mirror has"
PROGRAMS = {
    "buildah --version": "buildah version ",
    "dropbear -V": "Dropbear v",
    "fuser -V": "fuser (PSmisc) ",
    "fusermount3 --version": "fusermount3 version: 3",
    "mkfs.ext4 -V": "mke2fs ",
    "modprobe --version": "kmod version ",
    "nbd-client -V": "This is nbd-client",
    "qemu-nbd --version": "qemu-nbd ",
    "qemu-storage-daemon --version": "qemu-storage-daemon version ",
    "rg --version": "ripgrep ",
    "skopeo --version": "skopeo version ",
    "uv --version": "uv ",
}
BUILDS_AN_IMAGE = """\
set -eu
container=$(buildah --storage-driver vfs from scratch)
buildah --storage-driver vfs copy --quiet "$container" /usr/bin/rg /rg
buildah --storage-driver vfs commit --quiet "$container" demo
buildah --storage-driver vfs inspect --type image --format '{{.FromImage}}' demo
"""


@pytest.fixture(scope="module")
def folder(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with the image that `accept` built and tested."""
    ignored = shutil.ignore_patterns("out", "*.lock", "ledger.json", "Dockerfile.*")
    copy = Path(shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("beta9") / "own", ignore=ignored))
    environment = {**os.environ, "DOCKER_HOST": endpoint.host}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(ROOT / ".venv/bin/python"), "build.py", "--project", str(copy), *arguments]
        return commands.run(command, cwd=ROOT, env=environment)

    accepted = run("accept")
    if accepted.returncode == 2 and REPLACED in accepted.stderr:
        assert run("lock").returncode == 0
        accepted = run("accept")
    assert accepted.returncode == 0, accepted.stderr
    return copy


@pytest.fixture(scope="module")
def built(folder: Path) -> Path:
    """The archive of the project's variant."""
    return folder / "out" / "beta9" / "image.tar"


@pytest.fixture(scope="module")
def worker(built: Path, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the example's Dockerfile, on top of the project's variant."""
    scratch = tmp_path_factory.mktemp("worker")
    contexts = {"beta9": record.layout(built, scratch / "beta9")}
    epoch, output = project.read(ROOT).file_time, buildx.archive(scratch / "image.tar")
    job = buildx.Job(EXAMPLE / "Dockerfile", EXAMPLE, output, epoch, contexts=contexts)
    buildx.build(endpoint, {"worker": job}, scratch / "build.log")
    return scratch / "image.tar"


@pytest.fixture(scope="module")
def image(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The variant's image, loaded from the archive."""
    return archive.load(built, tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def run(worker: Path, endpoint: Endpoint) -> Iterator[Run]:
    """Return a function that runs a command in a container and returns its output."""
    images = endpoint.images
    known, identity = images.identities(), images.load(worker)

    def in_container(*arguments: str, options: tuple[str, ...] = ()) -> str:
        command = [endpoint.docker, "run", "--rm", "--network=none", *options, identity, *arguments]
        result = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=endpoint.environment,
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    yield in_container
    if identity not in known:
        images.remove(identity)


@pytest.mark.parametrize("command", PROGRAMS)
def test_program_starts(command: str, run: Run) -> None:
    assert run(*command.split()).startswith(PROGRAMS[command])


def test_missing_program_does_not_start(run: Run) -> None:
    """The control of the test above."""
    with pytest.raises(AssertionError, match="No such file"):
        run("crun", "--version")


def test_image_starts_the_worker(run: Run) -> None:
    assert re.findall(r"^(runsc|runc|buildah) version", run(), re.MULTILINE) == [
        "runsc",
        "runc",
        "buildah",
    ]


def test_buildah_builds_an_image(run: Run) -> None:
    """buildah runs with the privileges of beta9's worker pod."""
    assert "localhost/demo" in run("sh", "-c", BUILDS_AN_IMAGE, options=("--privileged",))


def test_layers_of_full_come_first(image: Image, folder: Path) -> None:
    """They are the reviewed bytes of the checkout, since the lock begins with the checkout's."""
    locks = [Lock.read(each / "versions.lock") for each in (folder, ROOT)]
    if locks[0].debian.resolved[0] != locks[1].debian.resolved[0]:
        pytest.skip("not run: Debian has replaced a locked package, so the project has a new lock")
    ledger = Ledger.read(ROOT)
    reviewed = [ledger.latest(name, "amd64") for name in OF_FULL]
    found = [layer.diff_id for layer in image.layers]
    assert found[: len(OF_FULL)] == [entry.diff_id for entry in reviewed if entry]
    assert len(found) == len(OF_FULL) + 2


def test_files_of_full_are_not_changed(image: Image) -> None:
    """Libraries that CRIU and the tools share are in both layers, with the same bytes."""
    assert changed(image, image.layers[len(OF_FULL) :]) == set()


def test_changed_file_is_found(image: Image) -> None:
    """The control of the test above: runsc with another mode."""
    runsc = image.find("/usr/local/bin/runsc")
    assert runsc
    layer = replace(image.layers[-1], entries=(replace(runsc, mode=0o700),))
    assert changed(image, [layer]) == {runsc.path}


def changed(image: Image, layers: Sequence[Layer]) -> set[str]:
    """Return the files of full that are in one of the layers with other contents."""
    below = {
        entry.path: content(image, entry)
        for layer in image.layers[: len(OF_FULL)]
        for entry in layer.entries
        if entry.kind != "folder"
    }
    return {
        entry.path
        for layer in layers
        for entry in layer.entries
        if entry.path in below and content(image, entry) != below[entry.path]
    }


def content(image: Image, entry: Entry) -> tuple[object, ...]:
    """Return what a file or link is, without the layer that it lies in."""
    is_file = entry.kind == "file"
    return (entry.kind, entry.mode, entry.target, image.sha256(entry) if is_file else "")


def test_worker_passes_the_checks_of_a_derived_image(
    worker: Path, folder: Path, tmp_path: Path
) -> None:
    report = tmp_path / "image.xml"
    command = [*commands.PYTEST, "tests/image", "--project", str(folder), "--variant", "beta9"]
    command += ["--mode", "derived", "--image", str(worker), "--trust"]
    result = commands.run([*command, "--junit-xml", str(report)], cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    run = results.read(report)
    assert (len(run.checks) > 50, run.with_outcome(results.FAILED)) == (True, ())
