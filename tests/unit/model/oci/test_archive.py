"""Image archives: altered bytes are refused, and loading moves no tag."""

import gzip
import json
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.archives import (
    blob,
    descriptor,
    digest,
    index,
    layer,
    pack,
    replace_manifest,
    write,
)
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


@pytest.mark.parametrize(("kind", "number"), [("config", 0), ("manifest", 1), ("layer", 2)])
def test_altered_blob_is_refused(kind: str, number: int, read: Callable[..., Image]) -> None:
    assert kind
    with pytest.raises(ImageError, match=r"match its digest|not valid gzip"):
        read(layer(("file", "x", "y")), edit=flip("blobs/", number))


def test_layer_that_the_configuration_does_not_name_is_refused(read: Callable[..., Image]) -> None:
    other = gzip.compress(layer(("file", "x", "evil")), mtime=0)

    def edit(files: dict[str, bytes]) -> None:
        """Replace the layer, and all its digests except the configuration's."""
        files[blob(other)] = other
        replace_manifest(files, lambda found: found.update(layers=[descriptor("layer", other)]))

    with pytest.raises(ImageError, match="the archive holds"):
        read(layer(("file", "x", "y")), edit=edit)


def nested(files: dict[str, bytes], architecture: str = "amd64") -> None:
    """Put the image and an attestation into an index within the archive's, as engines do."""
    entry = json.loads(files["index.json"])["manifests"][0]
    attestation = {
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        "platform": {"architecture": "unknown", "os": "unknown"},
    }
    inner = index(
        {**entry, "platform": {"architecture": architecture, "os": "linux"}},
        {**entry, "digest": digest(b"{}"), **attestation},
    )
    files |= {blob(inner): inner, blob(b"{}"): b"{}"}
    files["index.json"] = index(descriptor("index", inner))


def test_image_of_the_platform_is_read_from_an_index(read: Callable[..., Image]) -> None:
    """The attestation of an image is not a second image."""
    assert read(layer(("file", "x", "y")), edit=nested).find("/x")


def test_index_without_the_platform_is_refused(read: Callable[..., Image]) -> None:
    with pytest.raises(ImageError, match="the image is for arm64, not amd64"):
        read(layer(("file", "x", "y")), edit=lambda files: nested(files, "arm64"))


def named(files: dict[str, bytes]) -> None:
    """Add the names that `docker save NAME` writes."""
    entry = json.loads(files["index.json"])["manifests"][0]
    names = {"io.containerd.image.name": "docker.io/library/worker:slim"}
    files["index.json"] = index({**entry, "annotations": names})
    found = json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])
    parts = (found["config"], *found["layers"])
    config, *layers = (f"blobs/sha256/{each['digest'][7:]}" for each in parts)
    files["manifest.json"] = json.dumps(
        [{"Config": config, "RepoTags": ["worker:slim"], "Layers": layers}]
    ).encode()
    files["repositories"] = b'{"worker": {"slim": "c"}}'


def test_copy_has_no_names_and_the_same_image(tmp_path: Path) -> None:
    source = write(tmp_path / "image.tar", [layer(("file", "x", "y"))], named)
    copy = names.without_names(source, tmp_path / "copy.tar")
    with tarfile.open(copy) as tar:
        found = {member.name for member in tar}
        texts = b"".join(
            stream.read()
            for member in tar
            if member.name.endswith(".json") and (stream := tar.extractfile(member))
        )
    assert b"worker" in source.read_bytes()
    assert b"worker" not in texts
    assert len(found) == 6
    before, after = archive.load(source, tmp_path), archive.load(copy, tmp_path, strict=True)
    assert (before.digest, before.image_id) == (after.digest, after.image_id)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_copy_of_a_docker_archive_has_a_manifest_and_no_names(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Two of its layers have the same contents, as empty ones of kaniko."""
    files = docker_files("worker:slim")
    config, (saved,) = (json.loads(files[name]) for name in ("c.json", "manifest.json"))
    config["rootfs"]["diff_ids"] *= 2
    saved["Layers"].append("second/layer.tar")
    data = compress(files["l/layer.tar"])
    layers = {"l/layer.tar": data, "second/layer.tar": data}
    texts = {"c.json": json.dumps(config), "manifest.json": json.dumps([saved])}
    source = pack(
        tmp_path / "image.tar", layers | {name: text.encode() for name, text in texts.items()}
    )
    copy = names.without_names(source, tmp_path / "copy.tar")
    assert b"worker:slim" in source.read_bytes()
    assert b"worker:slim" not in copy.read_bytes()
    before, after = archive.load(source, tmp_path), archive.load(copy, tmp_path, strict=True)
    assert before.image_id == after.image_id
    assert [layer.diff_id for layer in before.layers] == [layer.diff_id for layer in after.layers]


@pytest.mark.parametrize("content", [b"", b"not a tar"])
def test_file_that_is_not_an_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="not an image archive"):
        archive.load(path, tmp_path)


def docker_files(*names: str) -> dict[str, bytes]:
    """The files of an archive without index.json."""
    data = layer(("file", "x", "y"))
    config = json.dumps({"rootfs": {"diff_ids": [digest(data)]}}).encode()
    entry = {"Config": "c.json", "RepoTags": list(names), "Layers": ["l/layer.tar"]}
    return {
        "c.json": config,
        "l/layer.tar": data,
        "manifest.json": json.dumps([entry]).encode(),
    }


def test_docker_archive_is_read(tmp_path: Path) -> None:
    """The archive has no index, no history and no settings."""
    files = docker_files()
    image = archive.load(pack(tmp_path / "image.tar", files), tmp_path)
    assert image.digest == digest(files["c.json"])
    assert image.find("/x")


def test_compressed_archive_is_read(tmp_path: Path) -> None:
    plain = write(tmp_path / "image.tar", [layer(("file", "x", "y"))])
    packed = tmp_path / "image.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert archive.load(packed, tmp_path).find("/x")


@pytest.mark.parametrize("name", ["x/../index.json", "./index.json", "blobs/../y"])
def test_second_file_with_the_same_normalized_name_is_refused(name: str, tmp_path: Path) -> None:
    def edit(files: dict[str, bytes]) -> None:
        files[name] = b"{}"

    with pytest.raises(ImageError, match=r"ambiguous|two files"):
        archive.load(write(tmp_path / "image.tar", [layer(("file", "x", "y"))], edit), tmp_path)


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
