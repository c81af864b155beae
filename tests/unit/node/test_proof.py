"""The proof page is made of results."""

import json
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node import figures, proof
from worker_images.node.cli import main
from worker_images.node.figures import FIGURES, Measured


def results(folder: Path) -> Path:
    """A run's results: a check that passed, one that did not run, one that failed."""
    suite = """<testsuites><testsuite timestamp="2026-11-23T15:37:29+01:00"><properties><property name="image_id" value="sha256:abc"/></properties>
<testcase classname="tests.workload.test_controls" name="test_without_devices" time="1.5">
<properties><property name="seen" value="a | GPU-ca88b44b-2928-9bb9-81a5-0b48e83bdaba `x`"/></properties></testcase>
<testcase classname="tests.workload.test_host" name="test_cuda_runs_a_kernel" time="0"><skipped message="not run: no driver"/></testcase>
<testcase classname="tests.workload.test_host" name="test_new" time="0"><failure message="assert 1&#10;more"/></testcase>
</testsuite></testsuites>"""
    (folder / proof.CHECKS).write_text(suite)
    (folder / proof.FIGURES).write_text(figures.as_json([Measured(FIGURES[0], (100.0,), (90.0,))]))
    facts = dict.fromkeys(
        (
            "date",
            "runsc",
            "driver",
            "driver_files",
            "kernel",
            "processors",
            "python",
            "torch",
            "command",
        ),
        "x",
    )
    (folder / proof.RUN).write_text(
        json.dumps(facts | {"variant": "slim", "gpus": ["GPU 0: NVIDIA H200"]})
    )
    return folder


def test_a_proof_tells_all_and_no_identity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", str(results(tmp_path))], ROOT) == 0
    page = capsys.readouterr().out
    assert "## slim: 1 passed, 1 failed, 1 not run" in page
    assert (
        "| **Without devices.** The driver's files alone are not enough. | passed | `a · GPU-… 'x'`"
        " | 1.5 |" in page
    )
    assert "| not run | `no driver` |" in page
    assert "| **New.** | failed | `assert 1` | 0.0 |" in page
    assert "| 100.000 | 90.000 | 0.900 | ≥ 0.97: missed |" in page
    assert "sha256:abc" in page


def test_results_that_are_not_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results(tmp_path) / proof.CHECKS).write_text("<testsuites>")
    assert main(["proof", str(tmp_path)], ROOT) == 4
    assert "not results of a whole run" in capsys.readouterr().err
