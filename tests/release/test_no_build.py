"""Does release --no-build publish what was tested, and refuse everything else?"""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.sites import SLIM, Site, kept, manifest
from worker_images.build.record import Record

NO_ENGINE = {"DOCKER_HOST": "unix:///none/docker.sock"}


def test_tested_image_is_released_without_an_engine(site: Site) -> None:
    done = site.release("slim", "kept", "--no-build", **NO_ENGINE)
    assert done.returncode == 0, done.stderr
    (image,) = site.verified(f"{site.target}:kept-slim")["images"]
    assert image["digest"] == manifest("slim")


def edit(**changes: str) -> Callable[[], None]:
    """Change fields of the record."""

    def change() -> None:
        record = Record.read(SLIM / "build.json")
        assert record
        replace(record, **changes).write(SLIM / "build.json")  # type: ignore[arg-type]

    return change


def changed_input() -> None:
    record = json.loads((SLIM / "build.json").read_text())
    record["key"]["Dockerfile"] = "0"
    (SLIM / "build.json").write_text(json.dumps(record))


REFUSED: dict[str, tuple[Callable[[], None], str]] = {
    "an input changed": (changed_input, "out/slim/image.tar: changed since it was built: Docker"),
    "no record": ((SLIM / "build.json").unlink, "image.tar: it has no record of a build; --no-"),
    "no archive": ((SLIM / "image.tar").unlink, "image.tar: missing, or not the archive that"),
    "another archive": (edit(manifest_digest="sha256:0"), "missing, or not the archive that was"),
    "not tested": (
        edit(tests_digest=""),
        "the checkout was changed after its tests, or it was not tested; --no-bu",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_image_that_is_not_the_tested_one_is_refused(case: str, site: Site) -> None:
    """Nothing is built or sent; the message has the command that builds and tests."""
    change, message = REFUSED[case]
    site.proxy.exchanges.clear()
    with kept(SLIM / "image.tar", SLIM / "build.json"):
        change()
        done = site.release("slim", "refused", "--no-build", **NO_ENGINE)
    assert done.returncode == 7, done.stderr
    assert message in done.stderr
    assert "./build.py --variant slim" in done.stderr
    assert site.proxy.lines("^(PUT|POST)") == []
