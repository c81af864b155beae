"""accept changes no file unless all images pass, and refuses builds that are not reproducible."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import junit
from tests.support.records import RECORD
from worker_images.build import accept, documents, pipeline
from worker_images.build.record import Outcome
from worker_images.errors import EngineError, FailedTestsError
from worker_images.files import ROOT
from worker_images.model.ledger import LEDGER, LEDGER_TESTS, Entry, Ledger
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


def test_accept_writes_the_digest_of_the_tested_image(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = replace(RECORD, variant="slim", manifest_digest=f"sha256:{'0' * 64}")
    outcome = Outcome(record, None, built=True, seconds=1.0)
    monkeypatch.setattr(pipeline, "run", lambda *_: [outcome])
    monkeypatch.setattr(accept, "_layers", layers())
    monkeypatch.setattr(documents, "files", lambda _: {})
    results_of(checkout, "slim")
    lines = accept.accept(load(checkout), ["slim"], "amd64", print)
    path = checkout / "deploy/slim/kustomization.yaml"
    assert f"\n  digest: {record.manifest_digest}\n" in path.read_text()
    assert f"+  digest: {record.manifest_digest}" in lines
    full = "deploy/full/kustomization.yaml"
    assert (checkout / full).read_text() == (ROOT / full).read_text()


CONTRACT = ("tests.image.test_contract", "test_shell_is_posix")
LEDGER_CHECK = ("tests.image.test_ledger", "test_layer_matches_the_ledger")
FORBIDDEN = "not run: user.max_user_namespaces is 0"


def results_of(root: Path, name: str, *checks: tuple[str, str]) -> None:
    """Write the results of an image of which the named checks did not run."""
    cases = [(*check, "skipped", FORBIDDEN) for check in checks]
    junit.write(root / "out" / name / "image.xml", junit.passed("image.test_runc", ""), *cases)


def test_check_that_did_not_run_changes_no_file(
    outdated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pipeline, "run", lambda *_: [Outcome(RECORD, None, built=True, seconds=1.0)]
    )
    monkeypatch.setattr(accept, "_reviewed", lambda *_: pytest.fail("the ledger was changed"))
    results_of(outdated, "slim", CONTRACT)
    before = (outdated / LEDGER).read_text()
    with pytest.raises(
        EngineError,
        match=r"^slim: not run: user\.max_user_namespaces is 0 \(1\); accept needs the results",
    ):
        accept.accept(load(outdated), ["slim"], "amd64", print)
    assert (outdated / LEDGER).read_text() == before
    assert (outdated / "images/slim/Dockerfile.worker").read_text() == "old\n"


def test_accept_ignores_only_the_ledger_check_that_did_not_run(checkout: Path) -> None:
    assert (ROOT / LEDGER_TESTS).is_file()
    results_of(checkout, "slim", LEDGER_CHECK)
    assert list(accept._not_run(load(checkout), "slim", "amd64")) == []  # noqa: SLF001


def test_entries_for_another_architecture_name_the_checks_that_did_not_run(checkout: Path) -> None:
    results_of(checkout, "slim-arm64", CONTRACT, LEDGER_CHECK)
    assert list(accept._not_run(load(checkout), "slim", "arm64")) == [  # noqa: SLF001
        f"{LEDGER}: slim-arm64: only the files of the image were read; {FORBIDDEN} (1)"
    ]


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
