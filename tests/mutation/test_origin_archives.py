"""Is an image refused as derived if its first layers are not those of a worker image?"""

from pathlib import Path

from tests.support import image_tests
from tests.support.altered import Archive
from tests.support.derived_images import Settings, append, archive_of, derive, write_saved
from tests.support.members import file, layer
from worker_images.harness.dpkg import STATUS
from worker_images.model.results import FAILED

ORIGIN = "test_derived::test_first_layers_are_those_of_a_worker_image"
REASON = "no index.json: not an OCI archive; an image made FROM a worker image needs --mode derived"
GVISOR, RUNSC = 1, "usr/local/bin/runsc"


def flip_last(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_image_with_another_runsc_in_its_layer_is_not_derived(tmp_path: Path) -> None:
    archive = Archive.read(archive_of("slim"))
    archive.edit_layer(GVISOR, lambda members: members.edit(RUNSC, flip_last))
    reason = _origin(archive, tmp_path)
    assert "not derived from a worker:slim image of this checkout: layer 2 is sha256:" in reason


def test_image_from_scratch_with_all_files_is_not_derived(tmp_path: Path) -> None:
    """An image of one layer with all files of the base is refused."""
    archive = Archive.read(archive_of("slim"))
    archive.manifest["layers"], archive.layers = [], []
    archive.config["rootfs"]["diff_ids"] = []
    archive.add_layer(layer([append("etc/passwd", "")]))
    assert "layer 1 is sha256:" in _origin(archive, tmp_path)


def test_saved_image_without_its_mode_is_refused_with_the_option(tmp_path: Path) -> None:
    path = write_saved(derive("slim", [], Settings()), tmp_path / "image.tar")
    (failed,) = image_tests.run("slim", path, ["test_configuration.py"]).with_outcome(FAILED)
    assert f"{path}: {REASON}" in failed.result.reason


def test_no_other_check_runs_for_an_image_of_another_origin(tmp_path: Path) -> None:
    """Failures for missing programs would hide the reason."""
    path = derive("slim", [], Settings()).write(tmp_path / "image.tar")
    found = image_tests.run("full", path, ("",), "--mode", "derived")
    assert [check.identity.rpartition("/")[2] for check in found.checks] == [
        ORIGIN.replace("::", ".py::")
    ]
    assert "or name its --variant" in found.checks[0].result.reason


def test_image_with_records_of_too_many_packages_is_refused(tmp_path: Path) -> None:
    """Otherwise each would be downloaded."""
    names = [f"p{number}" for number in range(201)]
    records = [file(f"{STATUS[1:]}/{name}", f"Package: {name}\nVersion: 1\n") for name in names]
    path = derive("slim", records, Settings()).write(tmp_path / "image.tar")
    report = image_tests.run("slim", path, ["test_secrets.py"], "--mode", "derived")
    reasons = [check.result.reason for check in report.with_outcome(FAILED)]
    assert len(reasons) == 1
    assert "the image records 201 Debian packages that are not in versions.lock" in reasons[0]


def _origin(archive: Archive, folder: Path) -> str:
    path = archive.write(folder / "image.tar")
    return image_tests.failures("slim", path, [ORIGIN], "--mode", "derived")[ORIGIN]
