"""A seal shows that a report was not edited."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker_images import files
from worker_images.errors import EngineError
from worker_images.model import seal


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report that the key of this folder sealed."""
    path = tmp_path / "workload.xml"
    path.write_bytes(b"<testsuites/>")
    seal.write(path, seal.create(tmp_path / "key"))
    return path


def fault(report: Path, *keys: bytes) -> str:
    return seal.fault(report, report.read_bytes(), keys or [seal.create(report.parent / "key")])


def test_sealed_report_has_no_fault(report: Path) -> None:
    assert fault(report) == ""
    assert fault(report, b"another", seal.create(report.parent / "key")) == ""


@pytest.mark.parametrize("data", [b"", b"<testsuites/> ", b"<testsuites>"])
def test_edited_report_is_found(data: bytes, report: Path) -> None:
    report.write_bytes(data)
    assert fault(report).startswith("the seal workload.xml.seal does not match: the report was")


@pytest.mark.parametrize("text", ["", "hmac-sha256 ", f"hmac-sha256 {'0' * 64}", "\0\xff"])
def test_edited_seal_is_found(text: str, report: Path) -> None:
    seal.beside(report).write_text(text)
    assert "does not match" in fault(report)


def test_seal_of_another_key_is_found(report: Path) -> None:
    assert "does not match" in fault(report, seal.create(report.parent / "other"))
    assert "does not match" in seal.fault(report, report.read_bytes(), ())


def test_missing_seal_is_found(report: Path) -> None:
    seal.beside(report).unlink()
    assert fault(report) == "no seal workload.xml.seal: No such file or directory"


def test_key_is_random_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    key = seal.create(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert seal.create(path) == key != seal.create(tmp_path / "other")
    assert [each.name for each in path.parent.iterdir()] == ["key"]


def test_processes_that_create_a_key_at_the_same_time_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = {*pool.map(seal.create, [tmp_path / "key"] * 64)}
    assert len(keys) == 1


@pytest.mark.parametrize("text", ["", "00", "g" * 64, "0" * 63 + "\xff"])
def test_invalid_key_is_an_error_that_names_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(EngineError, match=f"{tmp_path}/key: "):
        seal.create(tmp_path / "key")


def test_key_in_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot be created: Not a directory"):
        seal.create(tmp_path / "file" / "folder" / "key")


def test_kit_seals_with_its_own_key_and_a_checkout_with_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache")
    own = seal.key_of(tmp_path)
    kit = seal.create(tmp_path / seal.KIT_KEY)
    assert seal.key_of(tmp_path) == kit != own == seal.own_key()


def test_known_keys_are_those_of_the_user_and_of_all_kits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache")
    assert seal.known_keys(tmp_path) == ()
    slim = seal.create(tmp_path / "out/slim" / seal.KIT_KEY)
    assert seal.known_keys(tmp_path) == (slim,)
    assert seal.known_keys(tmp_path) == (slim,)
    assert {*seal.known_keys(tmp_path), seal.own_key()} == {slim, seal.own_key()}
