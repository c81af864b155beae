"""Records of releases are written, read and checked."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.releases import NEW, OLD
from worker_images.errors import UsageError
from worker_images.model.lock import Lock
from worker_images.model.oci.outline import Outline
from worker_images.model.results import FAILED, NOT_RUN, PASSED
from worker_images.release import record, tested
from worker_images.release.record import Layer, Package, Released


def test_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = NEW.write(tmp_path)
    name = "registry.example:5000+team+worker.json"
    assert path == tmp_path / "out/release/2026.11.2" / name
    first = path.read_bytes()
    assert Released.read(tmp_path, NEW.version) == NEW
    assert NEW.write(tmp_path).read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == [name]


def test_version_in_two_repositories_has_two_records(tmp_path: Path) -> None:
    """Release notes need the name of one of them."""
    other = replace(NEW, name="other.example/worker")
    NEW.write(tmp_path)
    other.write(tmp_path)
    assert Released.read(tmp_path, NEW.version, NEW.name) == NEW
    assert Released.read(tmp_path, NEW.version, other.name) == other
    names = re.escape(f"{other.name}, {NEW.name}; name one of them with --registry")
    with pytest.raises(UsageError, match=f"{NEW.version} was released to {names}"):
        Released.read(tmp_path, NEW.version)


def test_missing_record_names_the_known_releases(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="no record of release 1; releases with a record: none"
    ) as it:
        Released.read(tmp_path, "1")
    assert "REPOSITORY" not in str(it.value)
    assert "run the same release command again in the checkout that released" in str(it.value)
    NEW.write(tmp_path)
    OLD.write(tmp_path)
    with pytest.raises(UsageError, match=re.escape("record: 2026.11.1, 2026.11.2")):
        Released.read(tmp_path, "1")


def test_version_that_another_repository_has_names_that_repository(tmp_path: Path) -> None:
    NEW.write(tmp_path)
    message = f"{NEW.version} was released to {NEW.name}, not to other.example/worker; name one"
    with pytest.raises(UsageError, match=re.escape(message)):
        Released.read(tmp_path, NEW.version, "other.example/worker")


@pytest.mark.parametrize(
    ("since", "version", "refused"),
    [
        ("1.4.0", "1.4.0", True),
        ("1.4", "1.4.0", True),
        ("1.10", "1.9", True),
        ("same name", "same name", True),
        ("1.9", "1.10", False),
        ("b-name", "a-name", False),
    ],
)
def test_since_is_an_earlier_version(since: str, version: str, *, refused: bool) -> None:
    if not refused:
        record.check_since(since, version)
        return
    with pytest.raises(UsageError, match=f"^--since {since}: not earlier than {version}; name an"):
        record.check_since(since, version)


def test_version_that_ends_with_a_variant_is_refused() -> None:
    """Tags are VERSION-VARIANT: the message has the version in it."""
    record.check_version("1.4.0-rc", ("slim", "full"), "--to")
    message = "^--to 1.4.0-slim: ends with a variant, and tags are VERSION-VARIANT; use 1.4.0$"
    with pytest.raises(UsageError, match=message):
        record.check_version("1.4.0-slim", ("full", "slim"), "--to")


CHANGES = {
    "not JSON": ("{", "}", "not JSON"),
    "a missing field": ('"revision"', '"revisions"', "revisions is unknown"),
    "a text for a number": ("42757328", '"42757328"', "compressed is not an integer"),
    "a text for true or false": ('"security": true', '"security": "true"', "not true or false"),
    "another version": ("2026.11.2", "2026.11.3", "is the record of release 2026.11.3"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_record_is_refused(name: str, tmp_path: Path) -> None:
    old, new, message = CHANGES[name]
    path = NEW.write(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError, match=f"^{re.escape(str(path))}: .*{message}"):
        Released.read(tmp_path, NEW.version)


@pytest.mark.parametrize("version", ["", ".", "..", "../x", "a/b", "a b", "1\n", "-1", "1" * 101])
def test_version_that_no_tag_can_have_is_refused(version: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a version"):
        record.file_of(tmp_path, version, "a")


@pytest.mark.parametrize("version", ["1", "v1.2.3", "2026.11.26-1", "1_rc.1"])
def test_version_of_a_tag_is_accepted(version: str, tmp_path: Path) -> None:
    assert record.file_of(tmp_path, version, "a").parent.name == version


def test_sizes_are_those_of_the_last_layers_and_of_the_base() -> None:
    outline = Outline("id", (("a", 1), ("b", 2), ("c", 4), ("d", 8)), 5)
    assert record.sizes(outline, ("gvisor", "runc")) == {"base": 3, "gvisor": 4, "runc": 8}


def test_security_packages_are_those_of_the_security_archive(locked: Lock) -> None:
    names = [package.name for package in locked.packages["amd64"].files]
    found = record.packages(locked, "amd64", reversed(names))
    assert [package.name for package in found] == sorted(names)
    security = {package.name for package in found if package.security}
    urls = {each.name: each.url for each in locked.packages["amd64"].files}
    assert security == {name for name, url in urls.items() if "/debian-security/" in url} != set()
    assert security != set(names)


def test_package_that_is_not_locked_is_an_error(locked: Lock) -> None:
    with pytest.raises(KeyError, match="nosuch"):
        record.packages(locked, "amd64", ["tini", "nosuch"])


def test_package_is_not_of_security_by_default() -> None:
    assert Package("a", "1") == Package("a", "1", security=False)


def test_results_become_counts_with_reasons() -> None:
    rows = (
        tested.Row("tests/image/a.py::a", PASSED),
        tested.Row("tests/image/a.py::b", NOT_RUN, "no GPU"),
        tested.Row("tests/image/a.py::c", NOT_RUN, "no GPU"),
        tested.Row("tests/image/a.py::d", FAILED, "AssertionError"),
    )
    results = (tested.LayerResults("image", rows, "s"), tested.LayerResults("pod", reason="none"))
    found = record.layers(tested.Tested("slim", "amd64", "i", "m", results))
    assert found == (Layer("image", 1, 1, {"no GPU": 2}), Layer("pod", 0, 0, {}, "none"))
    assert json.dumps(found[0].not_run) == '{"no GPU": 2}'
