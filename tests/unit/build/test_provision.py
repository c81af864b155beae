"""An unknown revision is reported before an engine is used."""

from typing import NoReturn

import pytest

from worker_images.build import jobs, provision
from worker_images.errors import EngineError
from worker_images.model.project import Project


@pytest.mark.parametrize(
    ("revision", "expected"),
    [("unknown", ["revision unknown: git is missing, or this is not a clone"]), ("0123", [])],
)
def test_unknown_revision_is_reported_before_the_engine_is_used(
    revision: str,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    project: Project,
) -> None:
    """The message comes at the start of a long build, not at its end."""
    messages: list[str] = []

    def use_engine(*_: object) -> NoReturn:
        raise EngineError(" ".join(messages))

    monkeypatch.setattr(jobs, "revision", lambda _, **__: revision)
    monkeypatch.setattr(jobs, "check_space", lambda *_: None)
    monkeypatch.setattr(provision, "ensure_engine", use_engine)
    with pytest.raises(EngineError) as caught:
        jobs.prepare([jobs.Request("slim")], project, messages.append)
    assert [line in str(caught.value) for line in expected] == [True] * len(expected)
    assert len(messages) == len(expected)
