"""The ledger: entries by component, architecture and inputs."""

from pathlib import Path

import pytest

from worker_images.errors import DriftError
from worker_images.files import ROOT
from worker_images.model.ledger import LEDGER, Entry, Ledger

SMALL = Entry(1, "sha256:a")
LARGE = Entry(2, "sha256:b")


def test_committed_ledger_is_equal_after_reading_and_writing(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Ledger.read(ROOT).write(tmp_path)
    assert (tmp_path / LEDGER).read_text() == (ROOT / LEDGER).read_text()


def test_entry_is_found_only_with_its_component_architecture_and_inputs() -> None:
    ledger = Ledger({}).with_entry("gvisor", "amd64", "inputs", SMALL)
    assert ledger.entry("gvisor", "amd64", "inputs") == SMALL
    assert ledger.entry("gvisor", "amd64", "other inputs") is None
    assert ledger.entry("gvisor", "arm64", "inputs") is None
    assert ledger.entry("runc", "amd64", "inputs") is None


def test_new_entry_replaces_the_one_of_earlier_inputs() -> None:
    first = Ledger({}).with_entry("gvisor", "amd64", "old", SMALL)
    first = first.with_entry("gvisor", "arm64", "old", SMALL)
    second = first.with_entry("gvisor", "amd64", "new", LARGE)
    assert second.entry("gvisor", "amd64", "old") is None
    assert second.latest("gvisor", "amd64") == LARGE
    assert second.entry("gvisor", "arm64", "old") == SMALL


@pytest.mark.parametrize(
    "text",
    ["<<<<<<< HEAD", "[]", "[" * 100_000, '{"a": 1}', '{"a": {}, "a": {}}', "\xff",
     '{"a": {"amd64": {"d": {"bytes": "1", "diff_id": "x"}}}}',
     '{"a": {"amd64": {"d": {"bytes": 1}}}}',
     '{"a": {"amd64": {"d": {"bytes": 1, "diff_id": "x", "more": 1}}}}'],
)  # fmt: skip
def test_invalid_ledger_is_reported(text: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / LEDGER).write_text(text, encoding="latin-1")
    with pytest.raises(DriftError, match=r"images/ledger\.json:1:1: cannot be read") as error:
        Ledger.read(tmp_path)
    assert "\n" not in str(error.value)
