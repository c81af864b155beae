"""The example is really built, what it adds starts, and what it began from is still there, byte for
byte.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from examples.beta9 import __main__ as example
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
    """The same as values."""
    return archive.load(built, tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What it began from."""
    return archive.load(example.FULL, tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def run(built: Path, endpoint: Endpoint) -> Iterator[Run]:
    """Run a command in a container of the image and return all that it said; a failure raises."""
    images = endpoint.images
    known, identity = images.identities(), images.load(built)

    def in_container(*words: str, options: tuple[str, ...] = ()) -> str:
        command = [endpoint.docker, "run", "--rm", "--network=none", *options, identity, *words]
        answer = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=endpoint.environment,
        )
        assert answer.returncode == 0, answer.stdout
        return answer.stdout

    yield in_container
    if identity not in known:
        images.remove(identity)


@pytest.mark.parametrize("command", PROGRAMS)
def test_program_starts(command: str, run: Run) -> None:
    assert run(*command.split()).startswith(PROGRAMS[command])


def test_what_is_not_there_does_not_start(run: Run) -> None:
    """The control of the test above."""
    with pytest.raises(AssertionError, match="No such file"):
        run("crun", "--version")


def test_worker_is_what_starts(run: Run) -> None:
    assert re.findall(r"^(runsc|runc|buildah) version", run(), re.MULTILINE) == [
        "runsc",
        "runc",
        "buildah",
    ]


def test_buildah_builds_an_image(run: Run) -> None:
    """With the rights that beta9 gives its worker's pod."""
    assert "localhost/demo" in run("sh", "-c", BUILDS_AN_IMAGE, options=("--privileged",))


def test_layers_of_full_come_first(image: Image, full: Image) -> None:
    assert [layer.digest for layer in image.layers[: len(full.layers)]] == [
        layer.digest for layer in full.layers
    ]
    assert len(image.layers) == len(full.layers) + 3


def replaced(image: Image, full: Image) -> set[str]:
    """The paths of full that the other image shows from another layer, or with another mode."""
    shown = image.merged
    return {
        path
        for path, entry in full.merged.items()
        if shown[path].mode != entry.mode
        or (entry.kind != "folder" and shown[path].layer != entry.layer)
    }


def test_nothing_of_full_is_replaced(image: Image, full: Image) -> None:
    assert not replaced(image, full)


def test_a_replaced_file_is_seen(full: Image) -> None:
    """The control of the test above."""
    runsc = full.find("/usr/local/bin/runsc")
    assert runsc
    layer = replace(full.layers[0], entries=(replace(runsc, layer=len(full.layers)),))
    assert replaced(replace(full, layers=(*full.layers, layer)), full) == {runsc.path}


def test_additions_are_recorded(image: Image, full: Image) -> None:
    """Packages as the image records its own; beside them only what the Dockerfile names.

    No file has set-user-id.
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


def test_judge_finds_full_in_it(built: Path, tmp_path: Path) -> None:
    report = tmp_path / "image.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/image",
        "--variant",
        "full",
        "--mode",
        "derived",
        "--image",
        str(built),
    ]
    answer = subprocess.run(
        [*command, "--junit-xml", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    run = results.read(report)
    assert (len(run.checks) > 50, run.with_outcome(results.FAILED)) == (True, ())


def test_other_bytes_are_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    """The control of the checksum: with another one the file does not arrive."""
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
