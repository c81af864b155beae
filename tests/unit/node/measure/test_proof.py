"""The proof page is rendered from results."""

import json
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node.cli import main
from worker_images.node.measure import metrics, proof, restore_page, restore_rows
from worker_images.node.measure.metrics import METRICS, Measurement


def results(folder: Path) -> Path:
    """Write the results of a run: one check passed, one did not run, one failed."""
    suite = """<testsuites><testsuite timestamp="2026-11-23T15:37:29+01:00"><properties><property name="image_id" value="sha256:abc"/><property name="variant" value="slim"/><property name="machine" value="1 NVIDIA H200, driver 580.1"/></properties>
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


def test_run_without_a_benchmark_shows_its_machine_and_its_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(tmp_path)
    (folder / proof.RUN).unlink()
    (folder / proof.BENCHMARK).unlink()
    assert main(["proof", str(folder)], ROOT) == 0
    page = capsys.readouterr().out
    assert "## slim: 1 passed, 1 failed, 1 not run" in page
    assert "| machine | 1 NVIDIA H200, driver 580.1 |" in page
    assert "| command |" not in page


def test_restores_do_not_hide_that_checks_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results(tmp_path) / proof.CHECKS).unlink()
    restores(tmp_path)
    assert main(["proof", str(tmp_path)], ROOT) == 4
    assert f"{tmp_path}/{proof.CHECKS}: No such file" in capsys.readouterr().err


def test_incomplete_results_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results(tmp_path) / proof.CHECKS).write_text("<testsuites>")
    assert main(["proof", str(tmp_path)], ROOT) == 4
    assert "results are incomplete" in capsys.readouterr().err


def restores(folder: Path) -> None:
    """Write the figures of a model."""
    facts = dict.fromkeys(("date", "driver", "runsc", "torch", "command", "file_system"), "x")
    report = restore_rows.Report(
        folder / f"{restore_rows.PREFIX}1b.json",
        {**facts, "gpus": ["NVIDIA H100"], "image": "sha256:abc", "program": "gpu-checkpoint"},
    )
    report.know(parameters=1_100_000_000, cold_by="drop_caches")
    for key, value in (("start_sandbox_warm", 40.0), ("restore_background_warm", 2.0)):
        report.add(key, value)
    report.fail("8 restores at once: a | b")


def test_proof_shows_restores_with_and_without_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restores(tmp_path)
    assert main(["proof", str(tmp_path)], ROOT) == 0
    alone = capsys.readouterr().out
    assert alone.startswith("## Checkpoints\n\n### Starts and restores of a model with 1.1 billion")
    assert "| start to first token in the sandbox, page cache warm, s | 40.00 | 40.00 |" in alone
    assert "| restore : start in the sandbox, page cache warm | 0.050 | ≤ 0.083: kept |" in alone
    assert "| not measured |  | 8 restores at once: a · b |" in alone
    assert "page cache emptied by drop_caches" in alone
    results(tmp_path)
    assert main(["proof", str(tmp_path)], ROOT) == 0
    page = capsys.readouterr().out
    assert page.startswith("## slim: ")
    assert "### Starts and restores of a model" in page


@pytest.mark.parametrize(("known", "words"), [
    ({}, "torch 2.11.0."),
    ({"bytecode": True}, "torch 2.11.0 with bytecode."),
    ({"bytecode": False}, "torch 2.11.0 without bytecode."),
])  # fmt: skip
def test_figures_of_a_model_say_if_its_modules_were_compiled(
    known: dict[str, bool], words: str, tmp_path: Path
) -> None:
    restores(tmp_path)
    (found,) = restore_page.reports(tmp_path)
    found["facts"] |= {"torch": "2.11.0", **known}
    assert words in "\n".join(restore_page.section(found))


POD_SUITE = """<testsuites><testsuite timestamp="2026-11-23T15:37:29+01:00">
<testcase classname="{}" name="{}" time="2.0"/></testsuite></testsuites>"""


def test_proof_shows_the_pod_and_all_layers_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, layers = tmp_path / "slim", tmp_path / "tests"
    folder.mkdir()
    layers.mkdir()
    pod = POD_SUITE.format("tests.pod.test_devices", "test_devices_open")
    (results(folder) / proof.POD).write_text(pod)
    at_once = POD_SUITE.format("tests.layers.test_layers", "test_pod_layer_passes[slim-rootless]")
    (layers / proof.LAYERS).write_text(at_once)
    assert main(["proof", str(folder), str(layers)], ROOT) == 0
    page = capsys.readouterr().out
    assert "### The pod" in page
    assert "| **Devices open.** Opening shows what a listing cannot" in page
    assert "### All layers at once, 2026-11-23 14:37Z" in page
    assert "| **Pod layer passes (slim-rootless).** The RuntimeClass, the device plugin" in page
