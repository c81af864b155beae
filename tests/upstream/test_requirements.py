"""Do the pins of the requirements build, and is an image refused that only reports them?"""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.upstream.sites import REQUIRED_GVISOR
from tests.upstream.stand_in import StandIn
from worker_images.files import ROOT, text_digest
from worker_images.model import project
from worker_images.model.lock import Lock, lock_of

# go.mod and go.sum of the nearest commit of gVisor's module, which the source packages would build.
SUMS = ROOT / "tests/mutation/runsc-20250414"
EXAMPLE = "examples/requirements"
REFUSED_BY = (
    "runsc_drivers_match_the_release",
    "runsc_flags_match_the_release",
    "label_and_drivers_file_match_runsc",
)


@pytest.fixture(scope="module")
def example(upstream: StandIn) -> Path:
    """A checkout whose examples/requirements pins the stand-in of its release, and has a lock."""
    folder = upstream.checkout("requirements")
    own = folder / EXAMPLE
    part = own / "images/components/gvisor"
    part.mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(SUMS / name, part / name)
    base = project.read(ROOT).release
    pinned = project.read(own).pins.components["gvisor"]
    assert pinned.upstream
    versions = own / "versions.yaml"
    text = versions.read_text()
    digest = str(pinned.upstream.sha512)
    assert digest in text
    versions.write_text(text.replace(digest, upstream.digests.required_gvisor))
    lock = Lock.read(folder / "versions.lock")
    module = replace(
        lock.modules["gvisor"],
        version=str(pinned.packages.version),
        mod=text_digest((part / "go.mod").read_text()),
        sum=text_digest((part / "go.sum").read_text()),
    )
    modules = {**lock.modules, "gvisor": module}
    published = tuple(
        replace(
            each,
            address=each.address.replace(base, REQUIRED_GVISOR),
            digest=f"sha512:{upstream.digests.required_gvisor}",
        )
        if base in each.address
        else each
        for each in lock.published
    )
    new = replace(lock, modules=modules, published=published)
    lock_of(versions).write_text(new.as_text())
    return folder


def build(upstream: StandIn, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Build slim of the project."""
    return upstream.build(folder, "--project", EXAMPLE, "--variant", "slim", *options)


def test_image_of_the_requirements_builds(example: Path, upstream: StandIn) -> None:
    done = build(upstream, example, "--no-test")
    assert done.returncode == 0, done.stderr[-3000:]
    assert REQUIRED_GVISOR in done.stdout


def test_image_that_does_not_serve_its_release_is_not_tagged(
    example: Path, upstream: StandIn
) -> None:
    """The stand-in's runsc reports the release, and serves the drivers of another one."""
    done = build(upstream, example)
    assert done.returncode == 5
    assert set(re.findall(r"^FAILED (\S+)", done.stderr, re.MULTILINE)) == {
        f"tests/image/test_runsc.py::test_{name}" for name in REFUSED_BY
    }
    assert "the tag is unchanged" in done.stderr
