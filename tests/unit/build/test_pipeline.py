"""Only images that pass their tests are tagged, independent of the other images of a build."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker_images.build import pipeline, plan, record, testing
from worker_images.build.jobs import BuildJob, Request
from worker_images.build.tars import Progress
from worker_images.engine import builder, push
from worker_images.engine.daemon import Address
from worker_images.engine.images import Images
from worker_images.errors import (
    EngineError,
    FailedTestsError,
    ImageBuildError,
    InterruptedBuildError,
    RegistryError,
)
from worker_images.fetch.store import Store
from worker_images.model.lock import Lock
from worker_images.model.project import Project

pytestmark = pytest.mark.usefixtures("engine", "prepared")


class Engine(Images):
    """An engine that records the tags. It is a fake, because only test results matter here."""

    def __init__(self) -> None:
        super().__init__(Address("unix:///none"))
        self.tagged: list[str] = []

    def holds(self, identity: str) -> bool:
        return bool(identity)

    def tag(self, identity: str, reference: str) -> None:
        self.tagged.append(f"{reference} {identity}")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine()
    monkeypatch.setattr(BuildJob, "images", property(lambda _: found))
    return found


def write_images(jobs: list[BuildJob], *_: object) -> dict[str, record.Record]:
    """Write archives and return records as a build does."""
    for job in jobs:
        (job.out / "candidate.tar").write_text("image")
    names = [job.plan.variant for job in jobs]
    return {
        name: record.Record(
            name,
            "packages",
            {},
            {},
            "sha256:1",
            "sha256:2",
            1,
            1,
            f"id-{name}",
            "Docker 0",
            0.0,
            "",
            "amd64",
        )
        for name in names
    }


@pytest.fixture
def prepared(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    locked: Lock,
    no_engine: builder.Engine,
) -> None:
    """Prepare jobs without an engine; images are text files."""

    def prepare(requests: list[Request], loaded: Project, progress: Progress) -> list[BuildJob]:
        plans = [plan.make(loaded, locked, request.variant) for request in requests]
        return [
            BuildJob(
                request=each,
                project=loaded,
                plan=planned,
                dockerfile="",
                out=tmp_path / planned.variant,
                engine=no_engine,
                store=Store(),
                progress=progress,
                source_digest="",
            )
            for each, planned in zip(requests, plans, strict=True)
        ]

    monkeypatch.setattr(pipeline, "prepare", prepare)
    monkeypatch.setattr(pipeline, "_build", write_images)
    monkeypatch.setattr(record, "matches", lambda archive, _: archive.exists())


@pytest.fixture
def build(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> Callable[..., tuple[record.Outcome, ...]]:
    """Run the pipeline on two built images, of which the named ones fail their tests."""

    def run(*failing: str, interrupted: str = "", **options: object) -> tuple[record.Outcome, ...]:
        @contextlib.contextmanager
        def start(job: BuildJob, built: record.Record, _: Path) -> Iterator[testing.CheckResults]:
            def check_results() -> None:
                if built.variant == interrupted:
                    raise KeyboardInterrupt
                if built.variant in failing:
                    raise FailedTestsError(f"{built.variant} failed 1 check, in {job.out}")

            yield check_results

        monkeypatch.setattr(testing, "start", start)
        requests = [Request(name, **options) for name in ("full", "slim")]  # type: ignore[arg-type]
        return pipeline.run(requests, project, lambda _: None)

    return run


def test_image_is_tagged_and_recorded_when_it_passes(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine, tmp_path: Path
) -> None:
    """Control of the tests below."""
    assert [outcome.tag for outcome in build()] == ["worker:full", "worker:slim"]
    assert engine.tagged == ["worker:full id-full", "worker:slim id-slim"]
    assert sorted(path.name for path in (tmp_path / "slim").glob("*.*")) == [
        ".lock",
        "build.json",
        "image.inputs.json",
        "image.tar",
    ]


@pytest.mark.parametrize(("failed", "passed"), [("full", "slim"), ("slim", "full")])
def test_image_is_not_tagged_when_it_fails(
    failed: str,
    passed: str,
    build: Callable[..., tuple[record.Outcome, ...]],
    engine: Engine,
    tmp_path: Path,
) -> None:
    with pytest.raises(
        FailedTestsError, match=f"{failed} failed 1 check(.|\n)*passed and tagged: worker:{passed}"
    ):
        build(failed)
    assert engine.tagged == [f"worker:{passed} id-{passed}"]
    assert not (tmp_path / failed / "build.json").exists()
    assert not (tmp_path / failed / "image.tar").exists()
    assert (tmp_path / failed / "candidate.tar").exists()


def test_image_is_not_tagged_when_tests_are_off(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine, tmp_path: Path
) -> None:
    assert [outcome.tag for outcome in build(test=False)] == [None, None]
    assert engine.tagged == []
    assert not list(tmp_path.glob("*/build.json"))


@pytest.mark.parametrize("error", [EngineError, RegistryError])
def test_error_after_a_tag_names_the_tag(
    error: type[ImageBuildError],
    build: Callable[..., tuple[record.Outcome, ...]],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Full is tagged, and the engine fails when slim gets its tag."""

    def tag(identity: str, reference: str) -> None:
        if reference == "worker:slim":
            raise error("no response")
        engine.tagged.append(f"{reference} {identity}")

    monkeypatch.setattr(engine, "tag", tag)
    with pytest.raises(error, match=r"^no response\npassed and tagged: worker:full$"):
        build()
    assert engine.tagged == ["worker:full id-full"]
    with pytest.raises(error, match=r"^full failed 1 check, in .*\nno response$"):
        build("full")


def test_error_of_the_first_image_is_alone_in_the_message(
    build: Callable[..., tuple[record.Outcome, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "push", fail_push)
    with pytest.raises(RegistryError, match=r"^pushing$"):
        build(tag="registry.example/worker:1", push=True)


def fail_push(*_: object) -> None:
    """Fail as with an unreachable registry."""
    raise RegistryError("pushing")


def interrupt_push(*_: object) -> None:
    """Fail as with Ctrl-C during a push."""
    raise KeyboardInterrupt


def test_record_is_kept_when_the_push_fails(
    build: Callable[..., tuple[record.Outcome, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "push", fail_push)
    with pytest.raises(RegistryError):
        build(tag="registry.example/worker:1", push=True)
    assert (tmp_path / "full" / "build.json").exists()


def test_interrupted_push_names_the_tagged_images(
    build: Callable[..., tuple[record.Outcome, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "push", interrupt_push)
    with pytest.raises(
        InterruptedBuildError,
        match=r"tested and tagged: registry\.example/worker:1; the push did not finish",
    ) as caught:
        build(tag="registry.example/worker:1", push=True)
    assert caught.value.exit_code == 130


def test_interrupt_after_a_tag_names_the_tag(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine
) -> None:
    """Both variants are built, and Ctrl-C arrives while the second is tested."""
    with pytest.raises(
        InterruptedBuildError,
        match="interrupted; tested and tagged: worker:full; run the same command again to continue",
    ):
        build(interrupted="slim")
    assert engine.tagged == ["worker:full id-full"]


def test_interrupt_before_any_tag_is_a_keyboard_interrupt(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(interrupted="full")
    assert engine.tagged == []
