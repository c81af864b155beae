"""Image archives: altered bytes are refused, and loading moves no tag."""

import errno
import gzip
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.archives import digest, layer, write
from worker_images.files import ROOT
from worker_images.model.oci import archive, names
from worker_images.model.oci.image import Image, ImageError


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Image]:
    """Write an archive of layers, with an optional edit of its files, and read it back."""

    def write_and_load(
        *layers: bytes, edit: Callable[[dict[str, bytes]], None] = lambda _: None
    ) -> Image:
        return archive.load(write(tmp_path / "image.tar", list(layers), edit), tmp_path)

    return write_and_load


def flip(prefix: str, number: int) -> Callable[[dict[str, bytes]], None]:
    """Change one byte of the n-th file under a prefix."""

    def edit(files: dict[str, bytes]) -> None:
        name = [name for name in files if name.startswith(prefix)][number]
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])

    return edit


@pytest.mark.parametrize(("blob", "number"), [("config", 0), ("manifest", 1), ("layer", 2)])
def test_altered_blob_is_refused(blob: str, number: int, read: Callable[..., Image]) -> None:
    assert blob
    with pytest.raises(ImageError, match="do not match its digest"):
        read(layer(("file", "x", "y")), edit=flip("blobs/", number))


def test_layer_that_the_configuration_does_not_name_is_refused(tmp_path: Path) -> None:
    def edit(files: dict[str, bytes]) -> None:
        """Replace the layer, and all its digests except the configuration's."""
        other = gzip.compress(layer(("file", "x", "evil")), mtime=0)
        index = json.loads(files["index.json"])
        name = f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"
        manifest = json.loads(files.pop(name))
        manifest["layers"] = [{"digest": digest(other), "size": len(other)}]
        data = json.dumps(manifest).encode()
        files[f"blobs/sha256/{digest(other)[7:]}"] = other
        files[f"blobs/sha256/{digest(data)[7:]}"] = data
        files["index.json"] = json.dumps({"manifests": [{"digest": digest(data)}]}).encode()

    with pytest.raises(ImageError, match="the archive holds"):
        archive.load(write(tmp_path / "image.tar", [layer(("file", "x", "y"))], edit), tmp_path)


def nested(files: dict[str, bytes]) -> None:
    """Put the image and an attestation into an index within the archive's, as engines do."""
    entry = json.loads(files["index.json"])["manifests"][0]
    entries = [
        {**entry, "platform": {"architecture": "amd64"}},
        {"digest": "sha256:0", "platform": {"architecture": "unknown"}},
    ]
    inner = json.dumps({"manifests": entries}).encode()
    files[f"blobs/sha256/{digest(inner)[7:]}"] = inner
    files["index.json"] = json.dumps({"manifests": [{"digest": digest(inner)}]}).encode()


def test_image_of_the_platform_is_read_from_an_index(read: Callable[..., Image]) -> None:
    assert read(layer(("file", "x", "y")), edit=nested).find("/x")


def test_index_without_the_platform_is_refused(read: Callable[..., Image]) -> None:
    def other(files: dict[str, bytes]) -> None:
        nested(files)
        name = f"blobs/sha256/{json.loads(files['index.json'])['manifests'][0]['digest'][7:]}"
        inner = files.pop(name).replace(b"amd64", b"arm64")
        files[f"blobs/sha256/{digest(inner)[7:]}"] = inner
        files["index.json"] = json.dumps({"manifests": [{"digest": digest(inner)}]}).encode()

    with pytest.raises(ImageError, match="holds 0 images for amd64"):
        read(layer(("file", "x", "y")), edit=other)


def named(files: dict[str, bytes]) -> None:
    """Add the names that `docker save NAME` writes."""
    index = json.loads(files["index.json"])
    index["manifests"][0]["annotations"] = {
        "io.containerd.image.name": "docker.io/library/worker:slim",
        "kept": "yes",
    }
    files["index.json"] = json.dumps(index).encode()
    files["manifest.json"] = json.dumps(
        [{"Config": "c", "RepoTags": ["worker:slim"], "Layers": []}]
    ).encode()


def test_names_are_removed_from_a_copy(tmp_path: Path) -> None:
    source = write(tmp_path / "image.tar", [layer(("file", "x", "y"))], named)
    copy = names.without_names(source, tmp_path / "copy.tar")
    assert copy == tmp_path / "copy.tar"
    with tarfile.open(copy) as tar:
        texts = [
            stream.read()
            for member in tar
            if member.name.endswith(".json") and (stream := tar.extractfile(member))
        ]
    assert texts
    assert not [text for text in texts if b"worker:slim" in text]
    assert archive.load(copy, tmp_path).digest == archive.load(source, tmp_path).digest


def test_archive_without_names_is_not_copied(tmp_path: Path) -> None:
    source = write(tmp_path / "image.tar", [layer(("file", "x", "y"))])
    assert names.without_names(source, tmp_path / "copy.tar") == source
    assert not (tmp_path / "copy.tar").exists()


@pytest.mark.parametrize("content", [b"", b"not a tar"])
def test_file_that_is_not_an_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="not an image archive"):
        archive.load(path, tmp_path)


def test_docker_archive_is_read(tmp_path: Path) -> None:
    data = layer(("file", "x", "y"))
    config = json.dumps({"rootfs": {"diff_ids": [digest(data)]}}).encode()
    files = {
        "c.json": config,
        "l/layer.tar": data,
        "manifest.json": json.dumps([{"Config": "c.json", "Layers": ["l/layer.tar"]}]).encode(),
    }
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    image = archive.load(path, tmp_path)
    assert image.digest == digest(config)
    assert image.find("/x")


def raw(
    *names: str, everywhere: dict[str, str] | None = None, here: dict[str, str] | None = None
) -> bytes:
    """A layer of one-byte files, with any names and extended headers."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=everywhere
    ) as tar:
        for name in names or ("usr/x",):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = 1, here or {}
            tar.addfile(info, io.BytesIO(b"x"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw("usr/../x"), "ambiguous"),
        (raw("usr//x"), "ambiguous"),
        (raw(here={"GNU.sparse.name": "."}), "ambiguous"),
        (raw(here={"SCHILY.fflags": "x"}), "ambiguous"),
        (raw(everywhere={"comment": "x"}), "ambiguous"),
        (raw("usr/x", "usr/x"), "duplicate paths"),
        (raw() + b"behind", "trailing data after its end"),
    ],
)
def test_layer_that_an_engine_may_read_differently_is_refused(
    data: bytes, message: str, read: Callable[..., Image]
) -> None:
    with pytest.raises(ImageError, match=message):
        read(data)


def test_layer_with_plain_names_is_read(read: Callable[..., Image]) -> None:
    """The control of the test above; a name of three dots is valid."""
    assert [entry.path for entry in read(raw("usr/x", "...")).entries] == ["/usr/x", "/..."]


@pytest.mark.parametrize("name", ["x/../index.json", "./index.json", "blobs/../y"])
def test_second_file_with_the_same_normalized_name_is_refused(name: str, tmp_path: Path) -> None:
    def edit(files: dict[str, bytes]) -> None:
        files[name] = b"{}"

    with pytest.raises(ImageError, match="ambiguous"):
        archive.load(write(tmp_path / "image.tar", [layer(("file", "x", "y"))], edit), tmp_path)


def test_full_disk_is_not_reported_as_an_invalid_archive(tmp_path: Path) -> None:
    """Reading to a real file system of 64 KiB raises an OSError."""
    if os.geteuid() != 0:
        pytest.skip("not run: mounting a small file system needs root")
    (tmp_path / "small").mkdir()
    path = write(tmp_path / "image.tar", [layer(("file", "a", "x" * 200_000))])
    program = (
        "import sys; from pathlib import Path; from worker_images.model.oci import archive\n"
        "try: archive.load(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except OSError as error: print(type(error).__name__, error.errno)\n"
    )
    script = 'mount -t tmpfs -o size=64k tmpfs "$3" && exec "$0" -c "$1" "$2" "$3"'
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        sys.executable,
        program,
        str(path),
        str(tmp_path / "small"),
    ]
    result = commands.run(command, cwd=ROOT)
    assert result.stdout == f"OSError {errno.ENOSPC}\n", result.stderr


def test_names_are_read_as_utf_8_in_any_locale(tmp_path: Path) -> None:
    """Names of certificates have letters of many languages."""
    path = write(tmp_path / "image.tar", [layer(("file", "usr/share/Főtanúsítvány.crt", ""))])
    program = "import sys; from pathlib import Path; from worker_images.model.oci import archive\n"
    program += (
        "image = archive.load(Path(sys.argv[1]), Path(sys.argv[2]));"
        " print(ascii(image.layers[0].entries[0].path))\n"
    )
    expected = ascii(archive.load(path, tmp_path).layers[0].entries[0].path)
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", program, str(path), str(tmp_path)]
    result = commands.run(command, cwd=ROOT, env=environment)
    assert result.stdout == f"{expected}\n", result.stderr
    assert "Főtanúsítvány" in archive.load(path, tmp_path).layers[0].entries[0].path
