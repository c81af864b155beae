"""The judge's reading of archives: layers, whiteouts, links, and that no altered byte passes."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imagetest import archive
from imagetest.image import Image, ImageError

Member = tuple[str, str, str]


def layer(*members: Member) -> bytes:
    """A layer tar of (kind, name, content or target)."""
    kinds = {
        "file": tarfile.REGTYPE,
        "folder": tarfile.DIRTYPE,
        "link": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for kind, name, text in members:
            info = tarfile.TarInfo(name)
            info.type = kinds[kind]
            info.linkname = text if "link" in kind else ""
            data = text.encode() if kind == "file" else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write(path: Path, layers: list[bytes], spoil: Callable[[dict[str, bytes]], None] = lambda _: None) -> Path:
    """An OCI archive; `spoil` may change any of its files before they are written."""
    packed = [gzip.compress(data, mtime=0) for data in layers]
    config = json.dumps({"config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]}}).encode()
    manifest = json.dumps(
        {
            "config": {"digest": digest(config), "size": len(config)},
            "layers": [{"digest": digest(data), "size": len(data)} for data in packed],
        }
    ).encode()
    files = {f"blobs/sha256/{digest(data)[7:]}": data for data in (config, manifest, *packed)}
    files["index.json"] = json.dumps({"manifests": [{"digest": digest(manifest)}]}).encode()
    spoil(files)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Image]:
    """Write an archive of layers and read it back."""
    return lambda *layers, **options: archive.load(write(tmp_path / "image.tar", list(layers), **options), tmp_path)


def test_a_file_and_its_content(read: Callable[..., Image], tmp_path: Path) -> None:
    image = read(layer(("folder", "usr", ""), ("file", "usr/x", "hello")))
    entry = image.find("/usr/x")
    assert entry
    image.extract(entry, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "hello"


def test_deleted_later_still_counts(read: Callable[..., Image]) -> None:
    image = read(layer(("file", "opt/criu", "x")), layer(("file", "opt/.wh.criu", "")))
    assert image.find("/opt/criu") is None
    assert "/opt/criu" in [entry.path for entry in image.entries]


def test_an_opaque_folder_hides_what_was_below(read: Callable[..., Image]) -> None:
    image = read(layer(("file", "opt/a/b", "x")), layer(("file", "opt/a/.wh..wh..opq", ""), ("file", "opt/a/c", "y")))
    assert image.find("/opt/a/b") is None
    assert image.find("/opt/a/c")


def test_a_removed_folder_takes_all_below(read: Callable[..., Image]) -> None:
    image = read(layer(("file", "opt/a/b", "x")), layer(("file", "opt/.wh.a", "")))
    assert image.find("/opt/a/b") is None


def test_a_later_file_wins(read: Callable[..., Image], tmp_path: Path) -> None:
    image = read(layer(("file", "x", "old")), layer(("file", "x", "new")))
    entry = image.find("/x")
    assert entry
    image.extract(entry, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "new"


@pytest.mark.parametrize("target", ["usr/bin", "/usr/bin", "./usr/../usr/bin"])
def test_links_are_followed(target: str, read: Callable[..., Image]) -> None:
    image = read(layer(("link", "bin", target), ("folder", "usr", ""), ("folder", "usr/bin", ""), ("file", "usr/bin/sh", "x")))
    found = image.find("/bin/sh")
    assert found
    assert found.path == "/usr/bin/sh"


def test_link_loops_end(read: Callable[..., Image]) -> None:
    assert read(layer(("link", "a", "b"), ("link", "b", "a"))).find("/a") is None


def test_hard_links_have_the_content(read: Callable[..., Image], tmp_path: Path) -> None:
    image = read(layer(("file", "a", "same"), ("hardlink", "b", "a")))
    entry = image.find("/b")
    assert entry
    assert entry.kind == "hardlink"
    image.extract(entry, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "same"


def test_a_device_is_no_file(read: Callable[..., Image], tmp_path: Path) -> None:
    image = read(layer(("device", "null", "")))
    entry = image.find("/null")
    assert entry
    assert entry.kind == "device"
    with pytest.raises(ImageError, match="not a file"):
        image.extract(entry, tmp_path / "x")


def test_size_is_of_compressed_layers(read: Callable[..., Image]) -> None:
    data = layer(("file", "x", "a" * 10_000))
    assert read(data).size == len(gzip.compress(data, mtime=0))


def flip(prefix: str, number: int) -> Callable[[dict[str, bytes]], None]:
    """Change one byte of the n-th file under a prefix."""

    def spoil(files: dict[str, bytes]) -> None:
        name = [name for name in files if name.startswith(prefix)][number]
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])

    return spoil


@pytest.mark.parametrize(("blob", "number"), [("config", 0), ("manifest", 1), ("layer", 2)])
def test_an_altered_blob_is_refused(blob: str, number: int, read: Callable[..., Image]) -> None:
    assert blob
    with pytest.raises(ImageError, match="other bytes"):
        read(layer(("file", "x", "y")), spoil=flip("blobs/", number))


def test_a_layer_that_the_configuration_does_not_name_is_refused(tmp_path: Path) -> None:
    def spoil(files: dict[str, bytes]) -> None:
        """Swap the layer and every digest of it but the configuration's."""
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
        archive.load(write(tmp_path / "image.tar", [layer(("file", "x", "y"))], spoil), tmp_path)


def nested(files: dict[str, bytes]) -> None:
    """Put the image into an index beside an attestation, and that index into the archive's, as an engine saves it."""
    entry = json.loads(files["index.json"])["manifests"][0]
    entries = [{**entry, "platform": {"architecture": "amd64"}}, {"digest": "sha256:0", "platform": {"architecture": "unknown"}}]
    inner = json.dumps({"manifests": entries}).encode()
    files[f"blobs/sha256/{digest(inner)[7:]}"] = inner
    files["index.json"] = json.dumps({"manifests": [{"digest": digest(inner)}]}).encode()


def test_the_image_of_this_platform_is_chosen(read: Callable[..., Image]) -> None:
    assert read(layer(("file", "x", "y")), spoil=nested).find("/x")


def test_an_index_without_this_platform_is_refused(read: Callable[..., Image]) -> None:
    def other(files: dict[str, bytes]) -> None:
        nested(files)
        name = f"blobs/sha256/{json.loads(files['index.json'])['manifests'][0]['digest'][7:]}"
        inner = files.pop(name).replace(b"amd64", b"arm64")
        files[f"blobs/sha256/{digest(inner)[7:]}"] = inner
        files["index.json"] = json.dumps({"manifests": [{"digest": digest(inner)}]}).encode()

    with pytest.raises(ImageError, match="0 images for amd64"):
        read(layer(("file", "x", "y")), spoil=other)


def named(files: dict[str, bytes]) -> None:
    """The archive that `docker save NAME` writes."""
    index = json.loads(files["index.json"])
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": "docker.io/library/worker:slim", "kept": "yes"}
    files["index.json"] = json.dumps(index).encode()
    files["manifest.json"] = json.dumps([{"Config": "c", "RepoTags": ["worker:slim"], "Layers": []}]).encode()


def test_names_are_taken_out_before_loading(tmp_path: Path) -> None:
    source = write(tmp_path / "image.tar", [layer(("file", "x", "y"))], named)
    copy = archive.nameless(source, tmp_path / "copy.tar")
    assert copy == tmp_path / "copy.tar"
    with tarfile.open(copy) as tar:
        texts = [stream.read() for member in tar if member.name.endswith(".json") and (stream := tar.extractfile(member))]
    assert texts
    assert not [text for text in texts if b"worker:slim" in text]
    assert archive.load(copy, tmp_path).digest == archive.load(source, tmp_path).digest


def test_an_archive_without_names_is_not_copied(tmp_path: Path) -> None:
    source = write(tmp_path / "image.tar", [layer(("file", "x", "y"))])
    assert archive.nameless(source, tmp_path / "copy.tar") == source
    assert not (tmp_path / "copy.tar").exists()


@pytest.mark.parametrize("content", [b"", b"not a tar"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="not an image archive"):
        archive.load(path, tmp_path)


def test_a_docker_archive_is_read(tmp_path: Path) -> None:
    data = layer(("file", "x", "y"))
    config = json.dumps({"rootfs": {"diff_ids": [digest(data)]}}).encode()
    files = {"c.json": config, "l/layer.tar": data, "manifest.json": json.dumps([{"Config": "c.json", "Layers": ["l/layer.tar"]}]).encode()}
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    image = archive.load(path, tmp_path)
    assert image.digest == digest(config)
    assert image.find("/x")
