"""Do altered archives of our own images fail the named checks?

Each alteration keeps all digests true, as a wrong builder would.
"""

import copy
import gzip
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import image_tests
from tests.support.altered import Archive, Members, with_two_headers
from worker_images.files import ROOT
from worker_images.model import results

LEDGER = "test_ledger::test_layer_matches_the_ledger_where_its_inputs_were_reviewed"
CONFIGURATION = "test_configuration::test_configuration_is_the_planned_one"
HISTORY = "test_configuration::test_history_is_that_of_the_planned_layers_and_settings"
DECLARED = "test_world::test_every_path_of_every_layer_is_declared"
TIMES = "test_world::test_times_are_those_of_packages_or_the_pinned_one"
PACKAGES = "test_world::test_packages_are_those_of_the_lock"
CACHE = "test_cuda::test_loader_cache_is_that_of_the_base_and_the_library"
# The layer that the base is, and the components of full in their order.
BASE, GVISOR, CUDA = 0, 1, 5
RUNSC, SED = "usr/local/bin/runsc", "var/lib/dpkg/status.d/sed"


@dataclass(frozen=True)
class Case:
    """An alteration, the checks that must fail, and a part of what they report."""

    alter: Callable[[Archive], object]
    caught_by: tuple[str, ...]
    reason: str
    variant: str = "slim"


def unreadable(alter: Callable[[Archive], object], reason: str) -> Case:
    """An archive that is refused before anything else is read."""
    return Case(alter, (CONFIGURATION,), reason)


def edit(number: int, change: Callable[[Members], object]) -> Callable[[Archive], None]:
    """Edit the members of one layer."""
    return lambda archive: archive.edit_layer(number, lambda members: void(change(members)))


def void(_: object) -> None:
    """Drop a value."""


def set_field(number: int, name: str, **values: object) -> Callable[[Archive], None]:
    """Change fields of a member's header."""
    return edit(number, lambda members: vars_of(members, name, values))


def vars_of(members: Members, name: str, values: dict[str, object]) -> None:
    for key, value in values.items():
        setattr(members.info(name), key, value)


def text(document: str, old: str, new: str) -> Callable[[Archive], None]:
    """Replace a text once in a document of the archive."""

    def replaced(before: str) -> str:
        assert old in before
        return before.replace(old, new, 1)

    return lambda archive: archive.texts.update({document: replaced})


def add_member(number: int, archive: Archive) -> None:
    tar = gzip.decompress(archive.layers[number])
    archive.replace_layer(number, with_two_headers(tar, RUNSC))


def second_platform(archive: Archive) -> None:
    archive.add_image(copy.deepcopy(archive))


def second_member(archive: Archive) -> None:
    archive.layers[GVISOR] += gzip.compress(b"hidden")


def cache_of_libcuda(data: bytes) -> bytes:
    """Rename a library in the loader's cache, so that libcuda.so.1 is another."""
    return data.replace(b"libutil.so.1\0", b"libcuda.so.1\0")


def older(record: bytes) -> bytes:
    return record.replace(b"Version: 4", b"Version: 3")


def flip_last(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


CASES = {
    "two extended headers": unreadable(
        lambda archive: add_member(GVISOR, archive), "two extended headers for one member"
    ),
    "layers in another case": unreadable(
        text("manifest", '"layers"', '"Layers": [], "layers"'), "differ only in case"
    ),
    "settings in another case": unreadable(
        text("config", '"config"', '"Config": {}, "config"'), "differ only in case"
    ),
    "duplicate key": unreadable(
        text("manifest", '"layers"', '"layers": [], "layers"'), "duplicate key"
    ),
    "second platform": unreadable(second_platform, "2 images in the archive"),
    "unreferenced blob": unreadable(
        lambda archive: archive.files.update({f"blobs/sha256/{'0' * 64}": b"token"}),
        "unreferenced files",
    ),
    "urls of a layer": unreadable(
        lambda archive: archive.manifest["layers"][0].update(urls=["https://a.example"]),
        "unexpected keys: urls",
    ),
    "size of a layer": unreadable(text("manifest", '"size": ', '"size": 1'), "its descriptor says"),
    "second gzip member": unreadable(second_member, "data after its gzip member"),
    "negative size": unreadable(
        lambda archive: archive.replace_layer(GVISOR, negative(archive)), "not octal"
    ),
    "name of another image": unreadable(
        lambda archive: archive.files.update(
            {"manifest.json": json.dumps([{"RepoTags": ["worker:slim"]}]).encode()}
        ),
        "manifest.json names another image",
    ),
    "token in an annotation": Case(
        lambda archive: archive.manifest["layers"][0]["annotations"].update(note="x"),
        ("test_configuration::test_annotations_are_those_of_the_builder",),
        "note",
    ),
    "token in the name of a repository": Case(
        lambda archive: archive.manifest["layers"][0]["annotations"].update(
            {"containerd.io/distribution.source.a": "token"}
        ),
        ("test_configuration::test_annotations_are_those_of_the_builder",),
        "token",
    ),
    "token in the first of equal annotations": Case(
        lambda archive: archive.manifest["layers"][0]["annotations"].update(
            {"buildkit/rewritten-timestamp": "token"}
        ),
        ("test_configuration::test_annotations_are_those_of_the_builder",),
        "token",
    ),
    "author": Case(
        lambda archive: archive.config.update(author="someone"), (CONFIGURATION,), "author"
    ),
    "variant": Case(lambda archive: archive.config.update(variant="v3"), (CONFIGURATION,), "v3"),
    "features": Case(
        lambda archive: archive.config.update({"os.features": ["x"]}), (CONFIGURATION,), "features"
    ),
    "step of the history": Case(
        lambda archive: archive.config["history"][2].update(created_by="ENV PATH=/x"),
        (HISTORY,),
        "PATH=/x",
    ),
    "one byte of runsc": Case(
        edit(GVISOR, lambda members: members.edit(RUNSC, flip_last)), (LEDGER,), "reviewed"
    ),
    "owner": Case(set_field(GVISOR, RUNSC, uid=1), (LEDGER, DECLARED), "1:0"),
    "time": Case(set_field(GVISOR, RUNSC, mtime=1), (LEDGER, TIMES), "time 1, want"),
    "no /root": Case(
        edit(BASE, lambda members: members.remove("root")), (LEDGER, DECLARED), "/root"
    ),
    "no /var/log": Case(
        edit(BASE, lambda members: members.remove("var/log")), (LEDGER, DECLARED), "/var/log"
    ),
    "version of a package": Case(
        edit(BASE, lambda members: members.edit(SED, older)), (LEDGER, PACKAGES), "sed"
    ),
    "record of a package": Case(
        edit(
            BASE,
            lambda members: members.edit(
                "var/lib/dpkg/status.d/sed", lambda _: b"Version: $(id)\n"
            ),
        ),
        (PACKAGES,),
        "not a valid record of a Debian package",
    ),
    "loader cache": Case(
        edit(CUDA, lambda members: members.edit("etc/ld.so.cache", cache_of_libcuda)),
        (LEDGER, CACHE),
        "libcuda.so.1",
        "full",
    ),
}


def negative(archive: Archive) -> bytes:
    """A layer whose first member has the size -512 (CVE-2025-8194)."""
    tar = bytearray(gzip.decompress(archive.layers[GVISOR]))
    tar[124:136] = b"-0000001000\0"
    tar[148:156] = b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:512])
    return bytes(tar)


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[str]]]:
    """The failed checks of each archive with what they report; several run at once."""
    scratch = tmp_path_factory.mktemp("archives")
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield {name: pool.submit(_tested, name, case, scratch) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_altered_archive_fails_the_named_checks(
    name: str, outcomes: dict[str, Future[str]]
) -> None:
    assert CASES[name].reason in outcomes[name].result()


def test_archive_that_is_only_written_again_passes(tmp_path: Path) -> None:
    """The control: an archive without an alteration passes all of these checks."""
    for variant in ("slim", "full"):
        path = tmp_path / f"{variant}.tar"
        Archive.read(ROOT / "out" / variant / "image.tar").write(path)
        checks = {
            check
            for case in CASES.values()
            for check in case.caught_by
            if variant == "full" or "cuda" not in check
        }
        report = image_tests.run(variant, path, sorted(checks))
        assert not report.with_outcome(results.FAILED)
        assert len(report.checks) == len(checks)


def _tested(name: str, case: Case, scratch: Path) -> str:
    archive = Archive.read(ROOT / "out" / case.variant / "image.tar")
    case.alter(archive)
    path = archive.write(scratch / f"{name.replace(' ', '-').replace('/', '')}.tar")
    report = image_tests.run(case.variant, path, case.caught_by)
    path.unlink()
    failed = report.with_outcome(results.FAILED)
    assert len(failed) == len(case.caught_by), f"{name}: {[each.identity for each in failed]}"
    return "\n".join(check.result.reason for check in failed)
