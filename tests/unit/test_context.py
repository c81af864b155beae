"""What a build takes from Debian: one answer for all variants, no package twice."""

from pathlib import Path

import pytest

from imagebuild import catalog, context, debian, pins, plan
from imagetest.plugin import ROOT


def package(name: str) -> debian.Package:
    return debian.Package(name, "1", "http://example.org/a", 1, "0" * 64)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[set[str]]:
    """The questions that Debian was asked, answered with packages of the names themselves."""
    questions = []

    def resolve(_: pins.DebianPin, names: dict[str, tuple[str, ...]]) -> debian.Resolution:
        questions.append(set(names))
        return debian.Resolution(
            f"day {len(questions)}", {root: tuple(package(name) for name in sorted(wanted)) for root, wanted in names.items()}
        )

    monkeypatch.setattr(debian, "resolve", resolve)
    monkeypatch.setattr(context, "CACHE", tmp_path)
    return questions


def test_all_variants_stand_on_one_answer(asked: list[set[str]], pinned: pins.Pins, known: catalog.Catalog) -> None:
    answers = [context.resolve(plan.everything(pinned, known), ROOT, refresh=False) for _ in known.buildable]
    assert answers[0] == answers[1]
    assert len(asked) == 1
    assert {"base", "builder", "criu", "runc"} <= asked[0]
    bases = {name: context.roots(plan.make(pinned, known, name), answers[0])[0] for name in known.buildable}
    assert bases["slim"] == bases["full"]


def test_refresh_asks_anew(asked: list[set[str]], pinned: pins.Pins, known: catalog.Catalog) -> None:
    everything = plan.everything(pinned, known)
    first, second = (context.resolve(everything, ROOT, refresh=True) for _ in range(2))
    assert first
    assert second
    assert (first.resolution.date, second.resolution.date) == ("day 1", "day 2")
    assert len(asked) == 2


def test_a_plan_takes_its_own_roots_without_the_bases_packages(asked: list[set[str]], pinned: pins.Pins, known: catalog.Catalog) -> None:
    answer = context.resolve(plan.everything(pinned, known), ROOT, refresh=False)
    assert asked
    roots = {name: {root.name: root for root in context.roots(plan.make(pinned, known, name), answer)} for name in known.buildable}
    assert set(roots["slim"]) == {"base", "builder"}
    assert {"criu", "runc", "cuda-runtime"} <= set(roots["full"])
    base = {each.name for each in roots["full"]["base"].packages}
    assert [each.name for each in roots["full"]["criu"].packages] == ["criu"]
    assert not base & {each.name for each in roots["full"]["runc"].packages}


def test_vendor_asks_nothing(asked: list[set[str]], pinned: pins.Pins, known: catalog.Catalog) -> None:
    assert context.resolve(plan.everything(pinned, known, "vendor"), ROOT, refresh=False) is None
    assert context.roots(plan.make(pinned, known, "slim", "vendor"), None) == ()
    assert not asked
