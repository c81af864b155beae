"""The command `workload` seals the report of a complete run, and replaces those of an older one."""

from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.model import seal
from worker_images.node.cli import main
from worker_images.node.measure import proof

OPTIONS = "[pytest]\naddopts = -p worker_images.harness.options -p no:cacheprovider\n"


def run(kit: Path, test: str) -> str:
    """Run a kit with one test and return the fault of its sealed report."""
    (kit / "tests/workload/test_x.py").write_text(f"import pytest\ndef test_x(): {test}\n")
    (kit / "root").mkdir(exist_ok=True)
    options = ["--variant=slim", f"--image={kit}/root", f"--results={kit}/results", "--trust"]
    main(["workload", *options], kit)
    report = kit / "results/workload.xml"
    data = report.read_bytes() if report.exists() else b""
    return seal.fault(report, data, [seal.create(kit / seal.KIT_KEY)])


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kit with a key of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "tests/workload").mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text(OPTIONS)
    seal.create(tmp_path / seal.KIT_KEY)
    return tmp_path


@pytest.mark.parametrize("test", ["pass", "assert False", "pytest.skip('not run: no GPU')"])
def test_report_of_a_complete_run_is_sealed(test: str, kit: Path) -> None:
    assert run(kit, test) == ""


@pytest.mark.parametrize(
    "test", ["pytest.exit('gone', 4)", "raise KeyboardInterrupt", "import os; os._exit(1)"]
)
def test_report_of_an_interrupted_run_is_not_sealed(test: str, kit: Path) -> None:
    assert run(kit, test).startswith("no seal workload.xml.seal")


def test_seal_of_an_earlier_run_does_not_match_an_interrupted_one(kit: Path) -> None:
    assert run(kit, "pass") == ""
    assert "does not match" in run(kit, "raise KeyboardInterrupt")


def test_description_of_an_earlier_run_is_removed(kit: Path) -> None:
    """Only a run with the benchmark writes one, and `proof` would show it beside these checks."""
    for name in (proof.RUN, proof.BENCHMARK):
        (kit / "results").mkdir(exist_ok=True)
        (kit / "results" / name).write_text("{}")
    assert run(kit, "pass") == ""
    assert {path.name for path in (kit / "results").iterdir()} == {
        proof.CHECKS,
        f"{proof.CHECKS}.seal",
    }
