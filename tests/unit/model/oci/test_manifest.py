"""Manifests and configurations: an image that an engine may read differently is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.archives import blob, descriptor, index, layer, pack, replace_manifest, write
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image, ImageError

Edit = Callable[[dict[str, bytes]], None]


def read(folder: Path, edit: Edit, *, strict: bool = False) -> Image:
    """Write an archive of one layer, with an edit of its files, and read it back."""
    path = write(folder / "image.tar", [layer(("file", "x", "y"))], edit)
    return archive.load(path, folder, strict=strict)


def manifest(**values: object) -> Edit:
    """Set values of the manifest."""
    return lambda files: replace_manifest(files, lambda found: found.update(values))


def of_layer(**values: object) -> Edit:
    """Set values of the layer's descriptor."""
    return lambda files: replace_manifest(files, lambda found: found["layers"][0].update(values))


def config(**values: object) -> Edit:
    """Set values of the configuration, which the manifest then names."""

    def edit(files: dict[str, bytes]) -> None:
        def change(found: dict[str, Any]) -> None:
            name = f"blobs/sha256/{found['config']['digest'][7:]}"
            data = json.dumps(json.loads(files.pop(name)) | values).encode()
            files[blob(data)] = data
            found["config"] = descriptor("config", data)

        replace_manifest(files, change)

    return edit


def saved(**values: object) -> Edit:
    """Add manifest.json, as docker writes it, with some values."""

    def edit(files: dict[str, bytes]) -> None:
        entry = json.loads(files["index.json"])["manifests"][0]
        found = json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])
        config, *layers = (
            f"blobs/sha256/{each['digest'][7:]}" for each in (found["config"], *found["layers"])
        )
        row = {"Config": config, "RepoTags": ["a:1"], "Layers": layers} | values
        files["manifest.json"] = json.dumps([row]).encode()

    return edit


def file(name: str, data: bytes) -> Edit:
    return lambda files: files.update({name: data})


def two(files: dict[str, bytes]) -> None:
    """Two entries with different digests whose blobs are there."""
    entry = json.loads(files["index.json"])["manifests"][0]
    other = json.dumps(json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])).encode() + b" "
    files[blob(other)] = other
    files["index.json"] = index(entry, descriptor("manifest", other))


AMBIGUOUS = [
    (two, "2 images in the archive"),
    (manifest(Layers=[]), "differ only in case"),
    (manifest(URLs=[], Subject={}), "spelled"),
    (manifest(manifests=[]), "an index within|images in the index"),
    (manifest(mediaType="application/vnd.oci.image.index.v1+json"), "another media type"),
    (of_layer(urls=["https://a.example"]), "unexpected keys: urls"),
    (of_layer(data="eA=="), "unexpected keys: data"),
    (of_layer(size=1), "its descriptor says 1 bytes"),
    (of_layer(size=True), "its descriptor says True"),
    (of_layer(size=-1), "its descriptor says -1"),
    (of_layer(mediaType="application/x-tar"), "unexpected media type"),
    (of_layer(mediaType="application/vnd.oci.image.layer.v1.tar+zstd"), r"tar\+zstd, is wrong"),
    (of_layer(digest="sha256:../../x"), "only sha256"),
    (of_layer(digest=["x"]), "not a valid manifest"),
    (manifest(layers=None), "not a valid manifest"),
    (manifest(config="x"), "not a valid manifest"),
    (config(Config={}), "differ only in case"),
    (config(config={"env": ["A=b"]}), "spelled Env"),
    (config(config={"Env": "A=b"}), "Env is not a list"),
    (config(config={"Labels": {"a": 1}}), "Labels is not a map"),
    (config(config=[1]), "config is not an object"),
    (config(history={"a": 1}), "history is not a list"),
    (config(history=["a"]), "history is not a list"),
    (config(rootfs={"diff_ids": []}), "the configuration names layers"),
    (saved(Config="x"), "manifest.json names another image"),
    (saved(Layers=["x"]), "manifest.json names another image"),
    (saved(config="x"), "differ only in case"),
    (file("manifest.json", b"[]"), "0 images in manifest.json"),
    (file("repositories", b"{}"), "repositories names another image"),
    (file("index.json", b"[" * 100_000), "nested deeper|not JSON"),
    (file("index.json", b'{"manifests": 1, "manifests": 2}'), "duplicate key"),
    (file("index.json", b'{"manifests": [NaN]}'), "not a number"),
    (file("index.json", b"\xff\xfe{\x00}\x00"), "not UTF-8"),
]


@pytest.mark.parametrize(("edit", "message"), AMBIGUOUS)
def test_ambiguous_image_is_refused(edit: Edit, message: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=message):
        read(tmp_path, edit)


@pytest.mark.parametrize(
    "edit",
    [
        file("blobs/sha256/" + "0" * 64, b"x"),
        file("other", b"x"),
        file("oci-layout", b'{"imageLayoutVersion": "2.0.0"}'),
        manifest(artifactType="x"),
        saved(),
        of_layer(comment="x"),
    ],
)
def test_extra_content_is_refused_only_in_a_strict_archive(edit: Edit, tmp_path: Path) -> None:
    """Other builders write more than BuildKit; none of it is in the copy that an engine loads."""
    assert read(tmp_path, edit).find("/x")
    with pytest.raises(ImageError):
        read(tmp_path, edit, strict=True)


@pytest.mark.parametrize(
    "edit",
    [
        lambda _: None,
        config(history=None),
        config(config=None),
        config(config={"Env": None, "Labels": None, "Entrypoint": None}),
        config(config={"Labels": {"a": "1", "A": "2"}}),
    ],
)
def test_sound_image_is_read(edit: Edit, tmp_path: Path) -> None:
    """Controls: an image may have no history, no settings, and labels that differ only in case."""
    found = read(tmp_path, edit, strict=True)
    assert found.find("/x")
    assert (found.history, found.environment) == ([], [])


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_altered_archive_is_read_or_refused(
    tmp_path: Path, changes: list[tuple[float, int]]
) -> None:
    """An altered byte raises ImageError or changes nothing; an altered blob is refused."""
    good = write(tmp_path / "good.tar", [layer(("file", "x", "y"))])
    data = bytearray(good.read_bytes())
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    path = tmp_path / "image.tar"
    path.write_bytes(data)
    try:
        found = archive.load(path, tmp_path)
    except ImageError:
        return
    assert found.digest == archive.load(good, tmp_path).digest


def test_archive_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"the archive has no file manifest\.json"):
        archive.load(pack(tmp_path / "image.tar", {"x": b"y"}), tmp_path)
