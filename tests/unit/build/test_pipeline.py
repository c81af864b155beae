"""What was not judged, or was refused, gets no name; what another image came to does not matter."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker_images.build import pipeline, plan, record, testing
from worker_images.build.tars import Progress
from worker_images.build.work import BuildJob, Request
from worker_images.engine import builder, push
from worker_images.engine.daemon import Address
from worker_images.engine.images import Images
from worker_images.errors import FailedTestsError, InterruptedBuildError, RegistryError
from worker_images.fetch.store import Store
from worker_images.model.lock import Lock
from worker_images.model.project import Project


class Engine(Images):
    """An engine that only notes what is asked of it; a fake, because the fault is the judge's."""

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


def built(works: list[BuildJob], *_: object) -> dict[str, record.Record]:
    """Images as a build leaves them."""
    for work in works:
        (work.out / "candidate.tar").write_text("image")
    names = [work.plan.variant for work in works]
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
        )
        for name in names
    }


@pytest.fixture
def build(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    project: Project,
    locked: Lock,
    no_engine: builder.Engine,
) -> Callable[..., tuple[record.Outcome, ...]]:
    """Run the pipeline on two built images, of which the named ones are refused."""
    assert engine

    def prepare(requests: list[Request], loaded: Project, progress: Progress) -> list[BuildJob]:
        plans = [plan.make(loaded, locked, request.variant) for request in requests]
        return [
            BuildJob(
                request=each,
                project=loaded,
                plan=made,
                dockerfile="",
                out=tmp_path / made.variant,
                engine=no_engine,
                store=Store(),
                progress=progress,
                source_digest="",
            )
            for each, made in zip(requests, plans, strict=True)
        ]

    def run(*refused: str, interrupted: str = "", **options: object) -> tuple[record.Outcome, ...]:
        @contextlib.contextmanager
        def trial(work: BuildJob, made: record.Record, _: Path) -> Iterator[Callable[[], None]]:
            def verdict() -> None:
                if made.variant == interrupted:
                    raise KeyboardInterrupt
                if made.variant in refused:
                    raise FailedTestsError(f"{made.variant} is refused, in {work.out}")

            yield verdict

        monkeypatch.setattr(testing, "trial", trial)
        requests = [Request(name, **options) for name in ("full", "slim")]  # type: ignore[arg-type]
        return pipeline.run(requests, project, lambda _: None)

    monkeypatch.setattr(pipeline, "prepare", prepare)
    monkeypatch.setattr(pipeline, "_build", built)
    monkeypatch.setattr(record, "is_of", lambda archive, _: archive.exists())
    return run


def test_what_passes_is_tagged_and_recorded(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine, tmp_path: Path
) -> None:
    """The control of the tests below."""
    assert [outcome.tag for outcome in build()] == ["worker:full", "worker:slim"]
    assert engine.tagged == ["worker:full id-full", "worker:slim id-slim"]
    assert sorted(path.name for path in (tmp_path / "slim").glob("*.*")) == [
        ".lock",
        "build.json",
        "image.tar",
        "inputs.json",
    ]


@pytest.mark.parametrize(("refused", "passed"), [("full", "slim"), ("slim", "full")])
def test_what_is_refused_is_not_tagged(
    refused: str,
    passed: str,
    build: Callable[..., tuple[record.Outcome, ...]],
    engine: Engine,
    tmp_path: Path,
) -> None:
    with pytest.raises(
        FailedTestsError, match=f"{refused} is refused(.|\n)*passed and tagged: worker:{passed}"
    ):
        build(refused)
    assert engine.tagged == [f"worker:{passed} id-{passed}"]
    assert not (tmp_path / refused / "build.json").exists()
    assert not (tmp_path / refused / "image.tar").exists()
    assert (tmp_path / refused / "candidate.tar").exists()


def test_what_was_not_judged_is_not_tagged(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine, tmp_path: Path
) -> None:
    assert [outcome.tag for outcome in build(test=False)] == [None, None]
    assert engine.tagged == []
    assert not list(tmp_path.glob("*/build.json"))


def failing(*_: object) -> None:
    """A registry that is not there."""
    raise RegistryError("pushing")


def interrupted(*_: object) -> None:
    """Ctrl-C during a push."""
    raise KeyboardInterrupt


def test_failed_push_keeps_the_verdict(
    build: Callable[..., tuple[record.Outcome, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "push", failing)
    with pytest.raises(RegistryError):
        build(tag="registry.example/worker:1", push=True)
    assert (tmp_path / "full" / "build.json").exists()


def test_interrupted_push_names_what_was_tagged(
    build: Callable[..., tuple[record.Outcome, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "push", interrupted)
    with pytest.raises(
        InterruptedBuildError,
        match=r"tested and tagged: registry\.example/worker:1; the push did not end",
    ) as caught:
        build(tag="registry.example/worker:1", push=True)
    assert caught.value.exit_code == 130


def test_interrupt_after_a_tag_names_the_tag(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine
) -> None:
    """Both variants are built, and Ctrl-C comes while the second is tested."""
    with pytest.raises(
        InterruptedBuildError,
        match="interrupted; tested and tagged: worker:full; the same command does the rest",
    ):
        build(interrupted="slim")
    assert engine.tagged == ["worker:full id-full"]


def test_interrupt_before_any_tag_is_a_plain_one(
    build: Callable[..., tuple[record.Outcome, ...]], engine: Engine
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(interrupted="full")
    assert engine.tagged == []
