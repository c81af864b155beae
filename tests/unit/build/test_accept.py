"""accept changes no file unless all images pass, and refuses builds that are not reproducible."""

from pathlib import Path

import pytest

from worker_images.build import accept, pipeline
from worker_images.errors import FailedTestsError
from worker_images.model.ledger import LEDGER, Entry, Ledger
from worker_images.model.project import Project, load


def failing(*_: object) -> None:
    """Images whose tests fail."""
    raise FailedTestsError("slim failed 1 check")


@pytest.fixture
def outdated(checkout: Path) -> Path:
    """A checkout with an outdated Dockerfile."""
    (checkout / "images/slim/Dockerfile.worker").write_text("old\n")
    return checkout


def test_failed_tests_change_no_file(outdated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "run", failing)
    lock = outdated / "versions.lock"
    new = {lock: "new\n", outdated / "new": "new\n"}
    monkeypatch.setattr(accept, "_resolve", lambda *_: new)
    before = lock.read_text()
    with pytest.raises(FailedTestsError):
        accept.accept(load(outdated), ["slim"], "amd64", print)
    assert lock.read_text() == before
    assert not (outdated / "new").exists()
    assert (outdated / "images/slim/Dockerfile.worker").read_text() == "old\n"


def layers(*rows: tuple[str, str, Entry]) -> object:
    """The layers of every image."""
    return lambda *_: iter(rows)


def test_passed_images_give_new_entries(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(1, "sha256:a")
    monkeypatch.setattr(accept, "_layers", layers(("base", "inputs", entry)))
    ledger, changes = accept._reviewed(project, ["slim", "full"], "amd64")  # noqa: SLF001
    assert ledger.entry("base", "amd64", "inputs") == entry
    assert [change.split(":")[0] for change in changes] == [LEDGER]


def test_entries_of_removed_components_are_removed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry(1, "sha256:a")
    ledger = Ledger({}).with_entry("gone", "arm64", "inputs", entry)
    ledger.with_entry("gvisor", "arm64", "inputs", entry).write(checkout)
    monkeypatch.setattr(accept, "_layers", layers(("base", "inputs", entry)))
    ledger, changes = accept._reviewed(load(checkout), ["slim"], "amd64")  # noqa: SLF001
    assert ledger.rows.keys() == {"base", "gvisor"}
    assert ledger.entry("gvisor", "arm64", "inputs") == entry
    assert changes[0] == f"{LEDGER}: gone: removed, images/components/gone is gone"


def test_variants_with_other_bytes_from_equal_inputs_are_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (("base", "inputs", Entry(1, "sha256:a")), ("base", "inputs", Entry(2, "sha256:b")))
    monkeypatch.setattr(accept, "_layers", layers(*rows))
    with pytest.raises(FailedTestsError, match=r"base amd64: equal inputs gave sha256:a and"):
        accept._reviewed(project, ["slim"], "amd64")  # noqa: SLF001
