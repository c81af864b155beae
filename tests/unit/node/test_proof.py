"""The proof page is rendered from results."""

import json
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node import metrics, proof
from worker_images.node.cli import main
from worker_images.node.metrics import METRICS, Measurement


def results(folder: Path) -> Path:
    """Write the results of a run: one check passed, one did not run, one failed."""
    suite = """<testsuites><testsuite timestamp="2026-11-23T15:37:29+01:00"><properties><property name="image_id" value="sha256:abc"/></properties>
<testcase classname="tests.workload.test_controls" name="test_cuda_fails_without_devices" time="1.5">
<properties><property name="seen" value="a | GPU-ca88b44b-2928-9bb9-81a5-0b48e83bdaba `x`"/></properties></testcase>
<testcase classname="tests.workload.test_host" name="test_cuda_kernel_runs_on_the_node" time="0"><skipped message="not run: no driver"/></testcase>
<testcase classname="tests.workload.test_host" name="test_new" time="0"><failure message="assert 1&#10;more"/></testcase>
</testsuite></testsuites>"""
    (folder / proof.CHECKS).write_text(suite)
    (folder / proof.BENCHMARK).write_text(
        metrics.as_json(
            [
                Measurement(METRICS[0], (100.0,), (90.0,)),
                Measurement(METRICS[1], (50.0, 49.0, 52.0), (50.0, 51.0)),
            ],
            1,
        )
    )
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


def test_proof_shows_results_without_gpu_uuids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", str(results(tmp_path))], ROOT) == 0
    page = capsys.readouterr().out
    assert "## slim: 1 passed, 1 failed, 1 not run" in page
    assert (
        "| **CUDA fails without devices.** Driver files alone are not enough. | passed | `a · GPU-…"
        " 'x'` | 1.5 |" in page
    )
    assert "| not run | `no driver` |" in page
    assert "| **New.** | failed | `assert 1` | 0.0 |" in page
    assert "| 100.000 | 90.000 | 0.900 | 1 | ≥ 0.97: missed |" in page
    spread = "| 50.000 (49.000 to 52.000) | 50.500 (50.000 to 51.000) | 1.010 | 2 | ≥ 0.97: kept |"
    assert spread in page
    assert "sha256:abc" in page
    assert "| all-reduce of 1 GiB by NCCL, bus bandwidth, GB/s |  |  |  |  | not run: " in page


def test_incomplete_results_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results(tmp_path) / proof.CHECKS).write_text("<testsuites>")
    assert main(["proof", str(tmp_path)], ROOT) == 4
    assert "results are incomplete" in capsys.readouterr().err
