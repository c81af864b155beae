"""Do images that are made wrong on purpose fail the named checks, and do controls pass all?"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.mutants import MUTANTS, Mutant, PackageFile
from worker_images.build import record
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.fetch import apt
from worker_images.files import ROOT
from worker_images.model import pins, results
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.lock import Lock, Package
from worker_images.model.oci.archive import load

HERE = ROOT / "tests/mutation"
PINS = pins.load(ROOT / "versions.yaml")[0]
LOCK = Lock.read(ROOT / "versions.lock")
TABLE = {each.name: each.supported for each in table.read(ROOT / DRIVERS)}
VARIANTS = sorted({mutant.variant for mutant in MUTANTS.values()})


@dataclass(frozen=True)
class Outcome:
    """Which checks failed of those that ran, and which drivers the image's runsc serves."""

    failed: frozenset[str]
    served: tuple[str, ...]


@pytest.fixture(scope="session")
def names(request: pytest.FixtureRequest) -> list[str]:
    """The mutants that this run selects."""
    here = [item for item in request.session.items if item.path == Path(__file__)]
    selected = {item.callspec.params["name"] for item in here}  # type: ignore[attr-defined]
    return [name for name in MUTANTS if name in selected]


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The built images as build contexts that mutants begin from and take parts from."""
    found = {}
    for variant in VARIANTS:
        archive = _out(variant) / "image.tar"
        assert archive.exists(), f"no {archive}; run: make all"
        found[variant] = record.layout(archive, tmp_path_factory.mktemp(variant))
    return found


@pytest.fixture(scope="session")
def packages(names: list[str]) -> dict[str, Package]:
    """The .debs that mutants take files from."""
    files = [mutant.package for name in names if (mutant := MUTANTS[name]).package]
    wanted = [file for file in files if file]
    found = {
        f"{f.name} pinned": Package(f.name, f.version, f.url, int(f.size), f.sha256)
        for f in wanted
        if f.url
    }
    rows = apt.resolve(PINS.debian, {"mutants": [f.name for f in wanted if not f.url]})["mutants"]
    return {row.name: row for row in rows} | found


@pytest.fixture(scope="session")
def archives(
    names: list[str],
    contexts: Mapping[str, str],
    packages: Mapping[str, Package],
    endpoint: Endpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """The archives of the mutants, built by one run of buildx."""
    scratch = tmp_path_factory.mktemp("mutants")
    jobs = {}
    for name in names:
        mutant, folder = MUTANTS[name], scratch / name
        shutil.copytree(HERE / name, folder)
        if mutant.package:
            _unpack(mutant.package, packages, folder)
        jobs[name] = _job(mutant, contexts, folder, scratch / f"{name}.tar")
    buildx.build(endpoint, jobs, scratch / "build.log")
    return {name: scratch / f"{name}.tar" for name in names}


@pytest.fixture(scope="session")
def outcomes(archives: Mapping[str, Path]) -> Iterator[dict[str, Future[Outcome]]]:
    """The result of each mutant; as many run at once as there are cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield {
            name: pool.submit(_outcome, MUTANTS[name], archive)
            for name, archive in archives.items()
        }


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails_the_named_checks(name: str, outcomes: Mapping[str, Future[Outcome]]) -> None:
    mutant, outcome = MUTANTS[name], outcomes[name].result()
    if mutant.release:
        assert outcome.served == TABLE[mutant.release]
        assert outcome.served != TABLE[PINS.components["gvisor"].version]
    assert outcome.failed == set(mutant.caught_by), mutant.defect


def _out(variant: str) -> Path:
    return ROOT / "out" / variant


def _job(mutant: Mutant, contexts: Mapping[str, str], folder: Path, archive: Path) -> buildx.Job:
    """The build of a mutant, which keeps the compressed layers of its image."""
    return buildx.Job(
        dockerfile=folder / "Dockerfile",
        context=_inputs(mutant.variant),
        output=f"type=docker,dest={archive},oci-mediatypes=true",
        epoch=LOCK.debian.time,
        network=True,
        contexts={**contexts, "tested": contexts[mutant.variant], "mutant": str(folder)},
    )


def _inputs(variant: str) -> Path:
    """The context that the image was built in, alone or with the others."""
    found = [path for path in (_out(variant) / "context", _out("all") / "context") if path.is_dir()]
    assert found, "no context of a build; run: make all"
    return found[0]


def _unpack(pin: PackageFile, packages: Mapping[str, Package], folder: Path) -> None:
    (file,) = apt.fetch([packages[f"{pin.name} pinned" if pin.url else pin.name]], folder)
    with apt.members(file, "--fsys-tarfile") as tar:
        for member in tar:
            if member.name.removeprefix("./") == pin.file:
                stream = tar.extractfile(member)
                assert stream
                (folder / Path(pin.file).name).write_bytes(stream.read())


def _outcome(mutant: Mutant, archive: Path) -> Outcome:
    served = _served(archive) if mutant.release else ()
    failed = _failed(mutant, archive)
    archive.unlink()
    return Outcome(failed, served)


def _served(archive: Path) -> tuple[str, ...]:
    """The drivers that the runsc of an image reports as supported."""
    layers, runsc = archive.with_suffix(".layers"), archive.with_suffix(".runsc")
    layers.mkdir()
    image = load(archive, layers)
    entry = image.find("/usr/local/bin/runsc")
    assert entry
    image.extract(entry, runsc)
    runsc.chmod(0o755)
    listed = subprocess.run(
        [runsc, "nvproxy", "list-supported-drivers"], capture_output=True, text=True, check=True
    ).stdout
    return table.ordered(listed.split())


def _failed(mutant: Mutant, archive: Path) -> frozenset[str]:
    """Run the named checks, or all checks for a control, and return those that failed.

    A check that was named and does not exist ends the run with another status.
    """
    checks = [f"tests/image/{check.replace('::', '.py::', 1)}" for check in mutant.caught_by]
    command = [*commands.PYTEST, *(checks or ["tests/image"])]
    command += ["--variant", mutant.variant, "--mode", mutant.mode]
    # Beside the checkout's own archive lies the sealed report of its tests.
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "image.xml"
        command += ["--image", str(archive), "--trust", "--junit-xml", str(report)]
        result = commands.run(command, cwd=ROOT)
        assert result.returncode in {0, 1}, result.stdout + result.stderr
        failed = results.read(report).with_outcome(results.FAILED)
    return frozenset(
        check.identity.removeprefix("tests/image/").replace(".py::", "::", 1) for check in failed
    )
