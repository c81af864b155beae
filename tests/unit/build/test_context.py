"""What a build takes in: one lock for all variants, no package twice, tars that are hashed again at
each use.
"""

from pathlib import Path

import pytest

from worker_images.build import context, plan, tars
from worker_images.fetch import apt
from worker_images.files import ROOT
from worker_images.model.catalog import Catalog
from worker_images.model.lock import Lock
from worker_images.model.pins import Pins


@pytest.fixture(scope="session")
def locked() -> Lock:
    return Lock.read(ROOT / "versions.lock")


def test_all_variants_stand_on_one_base(locked: Lock, pins: Pins, catalog: Catalog) -> None:
    bases = {
        name: context.roots(plan.make(pins, catalog, name), locked, ROOT)[0]
        for name in catalog.buildable
    }
    assert bases["slim"] == bases["full"]
    assert bases["slim"].name == "base"
    assert len(bases["slim"].packages) > 20


def test_a_plan_takes_its_own_roots_without_the_bases_packages(
    locked: Lock, pins: Pins, catalog: Catalog
) -> None:
    roots = {
        name: {
            root.name: root for root in context.roots(plan.make(pins, catalog, name), locked, ROOT)
        }
        for name in catalog.buildable
    }
    assert set(roots["slim"]) == {"base"}
    assert {"cgo", "criu", "runc", "cuda-runtime"} <= set(roots["full"])
    base = {each.name for each in roots["full"]["base"].packages}
    assert "criu" in {each.name for each in roots["full"]["criu"].packages}
    for name in ("cgo", "runc", "criu"):
        assert not base & {each.name for each in roots["full"][name].packages}


def test_what_no_build_uses_is_left_out(locked: Lock, pins: Pins, catalog: Catalog) -> None:
    (cgo,) = (
        root
        for root in context.roots(plan.make(pins, catalog, "full"), locked, ROOT)
        if root.name == "cgo"
    )
    assert "gcc" in {each.name for each in cgo.packages}
    assert not [each.name for each in cgo.packages if each.name.startswith("libasan")]
    assert [
        each.name for each in locked.packages["amd64"].of("cgo") if each.name.startswith("libasan")
    ]


def test_another_architecture_has_its_own_base_and_our_compiler(
    locked: Lock, pins: Pins, catalog: Catalog
) -> None:
    planned = plan.make(pins, catalog, "slim", architecture="arm64")
    base, native = context.roots(planned, locked, ROOT)
    assert (base.name, native.name) == ("base", tars.NATIVE)
    assert {each.name for each in base.packages} == {each.name for each in native.packages}
    assert any(each.url.endswith("_arm64.deb") for each in base.packages)
    assert not any(each.url.endswith("_arm64.deb") for each in native.packages)


def test_upstream_takes_no_tar(locked: Lock, pins: Pins, catalog: Catalog) -> None:
    assert context.roots(plan.make(pins, catalog, "slim", "upstream"), locked, ROOT) == ()


def test_an_altered_tar_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pins: Pins, catalog: Catalog
) -> None:
    monkeypatch.setattr(tars, "CACHE", tmp_path)
    planned, said = plan.make(pins, catalog, "slim"), list[str]()

    def write(path: Path) -> None:
        path.write_text("right")

    writers: tars.Writers = {"base-0123": write}
    for number in range(3):
        tars.place(tars.cleared(tmp_path / f"context-{number}"), writers, planned, said.append)
    assert said == ["assembling base.tar"]
    (tar,) = (tmp_path / "roots").glob("*.tar")
    tar.write_text("wrong")
    tars.place(tars.cleared(tmp_path / "context"), writers, planned, said.append)
    assert (tmp_path / "context" / "base.tar").read_text() == "right"
    assert len(said) == 2
    assert apt.sha256(tar) == tar.with_suffix(".sha256").read_text()


def test_a_sum_is_a_copy_in_the_context(tmp_path: Path) -> None:
    """An edit in place must not reach a build that has begun."""
    (tmp_path / "source").write_text("before")
    tars.link(tmp_path / "source", tmp_path / "linked")
    assert (tmp_path / "linked").samefile(tmp_path / "source")
