"""The judge judged: every image made wrong on purpose must fail, by the check that is there for
it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mutants import MUTANTS, Mutant, PackageFile
from worker_images.build import record
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.fetch import apt
from worker_images.files import ROOT
from worker_images.model import pins, results
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.lock import Package
from worker_images.model.oci.archive import load

HERE = ROOT / "tests/mutation"
PINS = pins.load(ROOT / "versions.yaml")[0]
TABLE = table.read(ROOT / DRIVERS)


VARIANTS = sorted({mutant.variant for mutant in MUTANTS.values()})


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
def packages() -> dict[str, Package]:
    """The .debs that mutants take files from."""
    files = [mutant.package for mutant in MUTANTS.values() if mutant.package]
    found = {
        f.name: Package(f.name, f.version, f.url, int(f.size), f.sha256) for f in files if f.url
    }
    rows = apt.resolve(PINS.debian, {"mutants": [f.name for f in files if not f.url]})["mutants"]
    return {row.name: row for row in rows} | {
        f"{name} pinned": package for name, package in found.items()
    }


@pytest.mark.parametrize("name", MUTANTS)
def test_judge_catches(
    name: str,
    contexts: dict[str, str],
    packages: dict[str, Package],
    endpoint: Endpoint,
    tmp_path: Path,
) -> None:
    mutant = MUTANTS[name]
    folder = tmp_path / "mutant"
    shutil.copytree(HERE / name, folder)
    if mutant.package:
        _unpack(mutant.package, packages, folder)
    archive = _made(mutant, contexts, folder, endpoint, tmp_path)
    if mutant.release:
        served, rows = _served(archive, tmp_path), {each.name: each.supported for each in TABLE}
        assert served == rows[mutant.release]
        assert served != rows[PINS.components["gvisor"].version]
    failed = _judge(mutant, archive, tmp_path)
    if mutant.caught_by:
        assert set(mutant.caught_by) <= failed, (
            f"survived: {mutant.defect}; failed were only {sorted(failed)}"
        )
    else:
        assert not failed, f"a false alarm: {sorted(failed)}"


def _out(variant: str) -> Path:
    return ROOT / "out" / variant


def _made(
    mutant: Mutant, contexts: dict[str, str], folder: Path, endpoint: Endpoint, scratch: Path
) -> Path:
    archive = scratch / "image.tar"
    job = buildx.Job(
        dockerfile=folder / "Dockerfile",
        context=_inputs(mutant.variant),
        output=buildx.archive(archive),
        epoch=int(PINS.source_date_epoch),
        network=True,
        contexts={**contexts, "judged": contexts[mutant.variant], "mutant": str(folder)},
    )
    buildx.build(endpoint, {"mutant": job}, scratch / "build.log")
    return archive


def _inputs(variant: str) -> Path:
    """The context that the image was built in, alone or with the others."""
    found = [path for path in (_out(variant) / "context", _out("all") / "context") if path.is_dir()]
    assert found, "no context of a build; run: make all"
    return found[0]


def _unpack(pin: PackageFile, packages: dict[str, Package], folder: Path) -> None:
    (file,) = apt.fetch([packages[f"{pin.name} pinned" if pin.url else pin.name]], folder)
    with apt.members(file, "--fsys-tarfile") as tar:
        for member in tar:
            if member.name.removeprefix("./") == pin.file:
                stream = tar.extractfile(member)
                assert stream
                (folder / Path(pin.file).name).write_bytes(stream.read())


def _served(archive: Path, scratch: Path) -> tuple[str, ...]:
    """What the runsc of an image says that it serves."""
    (scratch / "layers").mkdir()
    image, runsc = load(archive, scratch / "layers"), scratch / "runsc"
    entry = image.find("/usr/local/bin/runsc")
    assert entry
    image.extract(entry, runsc)
    runsc.chmod(0o755)
    said = subprocess.run(
        [runsc, "nvproxy", "list-supported-drivers"], capture_output=True, text=True, check=True
    ).stdout
    return table.ordered(said.split())


def _judge(mutant: Mutant, archive: Path, scratch: Path) -> set[str]:
    """Run the whole image layer on an archive and name what failed."""
    report = scratch / "image.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/image",
        "--variant",
        mutant.variant,
        "--mode",
        mutant.mode,
    ]
    command += ["--image", str(archive), "--junit-xml", str(report)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    return {
        check.identity.removeprefix("tests/image/").replace(".py::", "::", 1)
        for check in results.read(report).with_outcome(results.FAILED)
    }
