"""An unknown revision is reported before an engine is used."""

from typing import NoReturn

import pytest

from worker_images.build import provision, work
from worker_images.errors import EngineError
from worker_images.model.project import Project


@pytest.mark.parametrize(
    ("revision", "said"),
    [("unknown", ["revision unknown: git is missing, or this is not a clone"]), ("0123", [])],
)
def test_an_unknown_revision_is_said_before_an_engine_is_asked(
    revision: str,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    project: Project,
) -> None:
    """A build of five minutes does not end with it."""
    told: list[str] = []

    def asked(*_: object) -> NoReturn:
        raise EngineError(" ".join(told))

    monkeypatch.setattr(work, "revision", lambda _: revision)
    monkeypatch.setattr(work, "check_space", lambda *_: None)
    monkeypatch.setattr(provision, "ensure_engine", asked)
    with pytest.raises(EngineError) as ended:
        work.prepare([work.Request("slim")], project, told.append)
    assert [line in str(ended.value) for line in said] == [True] * len(said)
    assert len(told) == len(said)
