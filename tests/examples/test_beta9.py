"""The example builds, its programs start, and the layers of full are unchanged."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from examples.beta9 import __main__ as example
from tests.support import commands
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.errors import ImageBuildError
from worker_images.files import ROOT
from worker_images.model import results
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image

Run = Callable[..., str]

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
def built(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's image archive."""
    return example.build(endpoint, tmp_path_factory.mktemp("beta9") / "image.tar")


@pytest.fixture(scope="module")
def image(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The example's image, loaded from the archive."""
    return archive.load(built, tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The full image that the example is based on."""
    return archive.load(example.FULL, tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def run(built: Path, endpoint: Endpoint) -> Iterator[Run]:
    """Return a function that runs a command in a container and returns its output."""
    images = endpoint.images
    known, identity = images.identities(), images.load(built)

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


def test_layers_of_full_come_first(image: Image, full: Image) -> None:
    assert [layer.digest for layer in image.layers[: len(full.layers)]] == [
        layer.digest for layer in full.layers
    ]
    assert len(image.layers) == len(full.layers) + 3


def replaced(image: Image, full: Image) -> set[str]:
    """Return the paths of full that the image takes from another layer or with another mode."""
    merged = image.merged
    return {
        path
        for path, entry in full.merged.items()
        if merged[path].mode != entry.mode
        or (entry.kind != "folder" and merged[path].layer != entry.layer)
    }


def test_files_of_full_are_not_replaced(image: Image, full: Image) -> None:
    assert not replaced(image, full)


def test_replaced_file_is_found(full: Image) -> None:
    """The control of the test above."""
    runsc = full.find("/usr/local/bin/runsc")
    assert runsc
    layer = replace(full.layers[0], entries=(replace(runsc, layer=len(full.layers)),))
    assert replaced(replace(full, layers=(*full.layers, layer)), full) == {runsc.path}


def test_additions_are_recorded(image: Image, full: Image) -> None:
    """Added packages are recorded, and other files are those of the Dockerfile.

    No file has the set-user-ID bit.
    """
    added = [
        entry
        for layer in image.layers[len(full.layers) :]
        for entry in layer.entries
        if entry.kind != "folder"
    ]
    assert {entry.path for entry in added if entry.path.startswith("/usr/local")} == {
        "/usr/local/bin/uv",
        "/usr/local/bin/worker",
    }
    assert not [entry.path for entry in added if entry.mode & 0o6000]
    assert image.find("/var/lib/dpkg/status.d/buildah")
    assert image.find("/var/lib/dpkg/status.d/buildah.md5sums")


def test_example_passes_the_checks_of_a_derived_image(built: Path, tmp_path: Path) -> None:
    report = tmp_path / "image.xml"
    command = [
        *commands.PYTEST,
        "tests/image",
        "--variant",
        "full",
        "--mode",
        "derived",
        "--image",
        str(built),
        "--trust",
    ]
    result = commands.run([*command, "--junit-xml", str(report)], cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    run = results.read(report)
    assert (len(run.checks) > 50, run.with_outcome(results.FAILED)) == (True, ())


def test_download_with_another_checksum_is_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    """The control of the checksum: with another checksum the build fails."""
    wrong, output = tmp_path / "Dockerfile", f"type=local,dest={tmp_path / 'out'}"
    wrong.write_text(
        re.sub(
            r"--checksum=sha256:[0-9a-f]{64}",
            f"--checksum=sha256:{'0' * 64}",
            (example.HERE / "Dockerfile").read_text(),
        )
    )
    with pytest.raises(ImageBuildError, match="digest mismatch"):
        buildx.build(
            endpoint,
            {"wrong": buildx.Job(wrong, example.HERE, output, 0, "downloads")},
            tmp_path / "build.log",
        )
