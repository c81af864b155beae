"""An image whose inputs did not change is not built again, also if only its archive is here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.records import RECORD
from worker_images.build import pipeline, plan, record
from worker_images.build.jobs import BuildJob, Request
from worker_images.build.record import Record
from worker_images.engine.builder import Engine
from worker_images.engine.daemon import Address
from worker_images.engine.images import Images
from worker_images.errors import EngineError
from worker_images.fetch.store import Store
from worker_images.model.lock import Lock
from worker_images.model.project import Project

TESTED = replace(RECORD, tests_digest="tests", source_digest="sources")


class Emptied(Images):
    """An engine that lost its images. It is a fake, because only what is asked of it matters."""

    def __init__(self, *, accepts: bool, holds: bool = False) -> None:
        super().__init__(Address("unix:///none"))
        self.accepts, self.has_image, self.loaded = accepts, holds, list[Path]()

    def holds(self, identity: str) -> bool:
        return bool(identity) and self.has_image

    def load(self, archive: Path) -> str:
        if not self.accepts:
            raise EngineError(f"loading {archive}: a broken layer")
        self.loaded.append(archive)
        return "sha256:loaded"


@pytest.fixture
def find(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_engine: Engine,
    project: Project,
    locked: Lock,
) -> Callable[[Emptied], Record | None]:
    """Find the image of an archive that matches its record."""
    planned = plan.make(project, locked, "slim")
    job = BuildJob(
        Request("slim"), project, planned, "", tmp_path, no_engine, Store(), lambda _: None, ""
    )
    TESTED.write(tmp_path / "build.json")
    (tmp_path / "image.tar").touch()
    monkeypatch.setattr(record, "matches", lambda archive, _: archive.exists())

    def run(engine: Emptied) -> Record | None:
        monkeypatch.setattr(BuildJob, "images", property(lambda _: engine))
        return pipeline.find_unchanged(job, TESTED.key)

    return run


def test_image_that_the_engine_holds_stays_tested(find: Callable[[Emptied], Record | None]) -> None:
    engine = Emptied(accepts=True, holds=True)
    assert find(engine) == TESTED
    assert engine.loaded == []


def test_archive_is_loaded_and_tested_again_if_the_engine_lacks_it(
    find: Callable[[Emptied], Record | None], tmp_path: Path
) -> None:
    engine = Emptied(accepts=True)
    assert find(engine) == replace(RECORD, engine_id="sha256:loaded")
    assert engine.loaded == [tmp_path / "image.tar"]


def test_archive_that_the_engine_refuses_is_built_again(
    find: Callable[[Emptied], Record | None],
) -> None:
    assert find(Emptied(accepts=False)) is None


def test_missing_archive_is_built_again(
    find: Callable[[Emptied], Record | None], tmp_path: Path
) -> None:
    (tmp_path / "image.tar").unlink()
    assert find(Emptied(accepts=True)) is None
