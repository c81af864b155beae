"""The merged view of an image: layers, whiteouts and links."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.archives import layer, write
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image, ImageError


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Image]:
    """Write an archive of layers and read it back."""
    return lambda *layers: archive.load(write(tmp_path / "image.tar", list(layers)), tmp_path)


def test_file_is_found_with_its_content(read: Callable[..., Image], tmp_path: Path) -> None:
    image = read(layer(("folder", "usr", ""), ("file", "usr/x", "hello")))
    entry = image.find("/usr/x")
    assert entry
    image.extract(entry, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "hello"


def test_deleted_file_stays_in_the_entries(read: Callable[..., Image]) -> None:
    image = read(layer(("file", "opt/criu", "x")), layer(("file", "opt/.wh.criu", "")))
    assert image.find("/opt/criu") is None
    assert "/opt/criu" in [entry.path for entry in image.entries]


def test_opaque_whiteout_hides_earlier_files_of_the_folder(read: Callable[..., Image]) -> None:
    image = read(
        layer(("file", "opt/a/b", "x")),
        layer(("file", "opt/a/.wh..wh..opq", ""), ("file", "opt/a/c", "y")),
    )
    assert image.find("/opt/a/b") is None
    assert image.find("/opt/a/c")


def test_whiteout_of_a_folder_hides_its_files(read: Callable[..., Image]) -> None:
    image = read(layer(("file", "opt/a/b", "x")), layer(("file", "opt/.wh.a", "")))
    assert image.find("/opt/a/b") is None


def test_file_of_a_later_layer_replaces_an_earlier_one(
    read: Callable[..., Image], tmp_path: Path
) -> None:
    image = read(layer(("file", "x", "old")), layer(("file", "x", "new")))
    entry = image.find("/x")
    assert entry
    image.extract(entry, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "new"


@pytest.mark.parametrize("target", ["usr/bin", "/usr/bin", "./usr/../usr/bin"])
def test_symbolic_links_are_followed(target: str, read: Callable[..., Image]) -> None:
    image = read(
        layer(
            ("link", "bin", target),
            ("folder", "usr", ""),
            ("folder", "usr/bin", ""),
            ("file", "usr/bin/sh", "x"),
        )
    )
    found = image.find("/bin/sh")
    assert found
    assert found.path == "/usr/bin/sh"


def test_loop_of_links_finds_no_file(read: Callable[..., Image]) -> None:
    assert read(layer(("link", "a", "b"), ("link", "b", "a"))).find("/a") is None


def test_hard_link_has_the_content_of_its_target(
    read: Callable[..., Image], tmp_path: Path
) -> None:
    image = read(layer(("file", "a", "same"), ("hardlink", "b", "a")))
    entry = image.find("/b")
    assert entry
    assert entry.kind == "hardlink"
    image.extract(entry, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "same"


def test_contents_of_a_device_are_refused(read: Callable[..., Image], tmp_path: Path) -> None:
    image = read(layer(("device", "null", "")))
    entry = image.find("/null")
    assert entry
    assert entry.kind == "device"
    with pytest.raises(ImageError, match="not a file"):
        image.extract(entry, tmp_path / "x")


def test_size_counts_unpacked_layers(read: Callable[..., Image]) -> None:
    data = layer(("file", "x", "a" * 10_000))
    assert read(data).size == len(data)


@pytest.mark.parametrize("path", ["/x", "/link"])
def test_size_limit_of_a_read_holds_for_the_target_of_a_hard_link(
    path: str, read: Callable[..., Image]
) -> None:
    """A hard link itself has no size."""
    image = read(layer(("file", "x", "hello"), ("hardlink", "link", "x")))
    assert image.read(image.merged[path], 5) == b"hello"
    with pytest.raises(ImageError, match=rf"{path}: 5 bytes, at most 4 are read"):
        image.read(image.merged[path], 4)


def test_image_with_more_layers_than_engines_stack_is_refused(read: Callable[..., Image]) -> None:
    layers = [layer(("file", f"{number}", "")) for number in range(128)]
    assert len(read(*layers[:127]).layers) == 127
    with pytest.raises(ImageError, match="128 layers, at most 127 are read"):
        read(*layers)
