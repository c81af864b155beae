"""The judge judged: every image made wrong on purpose must fail, by the check that is there for it."""

import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from imagebuild import buildx, debian, pins, record
from imagebuild.document import read
from imagebuild.engine import Endpoint
from imagebuild.images import Images
from imagebuild.schema import Strict, validated
from imagetest.plugin import ROOT

HERE = Path(__file__).parent
VARIANT = "slim"
OUT = ROOT / "out" / VARIANT
EPOCH = int(pins.load(ROOT / "versions.yaml")[0].source_date_epoch)


class PackagePin(Strict):
    """A .deb, and the one file of it that the mutant takes."""

    name: str
    version: str
    url: str
    size: str
    sha256: str
    file: str


class Mutant(Strict):
    """What is wrong, and the checks that must say so."""

    defect: str
    caught_by: Annotated[tuple[str, ...], Field(strict=False)]
    package: PackagePin | None = None


MUTANTS = {path.parent.name: validated(read(path), Mutant, {}) for path in sorted(HERE.glob("*/mutant.yaml"))}


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The built image as a build context that mutants begin from."""
    archive = OUT / "image.tar"
    assert archive.exists(), f"no {archive}; run: make slim"
    layout = tmp_path_factory.mktemp("layout")
    with tarfile.open(archive) as tar:
        tar.extractall(layout, filter="data")
    return f"oci-layout://{layout}@{record.manifest(archive)[0]}"


@pytest.mark.parametrize("name", MUTANTS)
def test_judge_catches(name: str, judged: str, endpoint: Endpoint, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    archive = _made(name, mutant, judged, endpoint, tmp_path)
    identity = Images(endpoint.host).load(archive)
    try:
        failed = _judge(archive, tmp_path)
    finally:
        Images(endpoint.host).remove(identity)
    if mutant.caught_by:
        assert set(mutant.caught_by) <= failed, f"survived: {mutant.defect}; failed were only {sorted(failed)}"
    else:
        assert not failed


def _made(name: str, mutant: Mutant, judged: str, endpoint: Endpoint, scratch: Path) -> Path:
    folder = scratch / "mutant"
    folder.mkdir()
    for path in (HERE / name).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    if mutant.package:
        _unpack(mutant.package, folder)
    archive = scratch / "image.tar"
    job = buildx.Job(
        dockerfile=folder / "Dockerfile",
        context=OUT / "context",
        output=f"type=docker,dest={archive},oci-mediatypes=true",
        epoch=EPOCH,
        contexts={"judged": judged, "mutant": str(folder)},
    )
    buildx.build(endpoint, {name: job}, scratch / "build.log")
    return archive


def _unpack(pin: PackagePin, folder: Path) -> None:
    package = debian.Package(pin.name, pin.version, pin.url, int(pin.size), pin.sha256)
    (file,) = debian.fetch([package], folder)
    with debian.members(file, "--fsys-tarfile") as tar:
        for member in tar:
            if member.name.removeprefix("./") == pin.file:
                stream = tar.extractfile(member)
                assert stream
                (folder / Path(pin.file).name).write_bytes(stream.read())


def _judge(archive: Path, scratch: Path) -> set[str]:
    """Run the whole image layer on an archive and name what failed."""
    report = scratch / "judge.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/image",
        "--variant",
        VARIANT,
        "--image",
        str(archive),
        "--junit-xml",
        str(report),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - pytest wrote it
    return {
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
