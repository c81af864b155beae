"""The commands for a GPU node, from their arguments to what they print and return."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit import archives
from tests.unit.test_lint import DEVICES
from tests.workload import stand_in
from tests.workload.stand_in import DRIVER
from worker_images.files import ROOT
from worker_images.model.oci.image import ImageError
from worker_images.node import figures, node, proof
from worker_images.node.cli import COMMANDS, main
from worker_images.node.figures import FIGURES, Measured
from worker_images.node.node import Node
from worker_images.node.place import Answer, Bare, PlaceError, Unpacked
from worker_images.node.unpack import unpack

REFUSAL = "registering nvproxy driver: unsupported Nvidia driver version: 550.54.14\n"


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A machine with two GPUs."""
    library = tmp_path / f"libcuda.so.{DRIVER}"
    library.write_bytes(stand_in.library("libcuda.so.1"))
    found = Node(DRIVER, DEVICES, (library,), (), "the loader's cache")
    monkeypatch.setattr(node, "read", lambda: found)
    (tmp_path / "rootfs").mkdir()
    return found


def bundle(folder: Path, *more: str) -> list[str]:
    return [
        "bundle",
        "--rootfs",
        f"{folder}/rootfs",
        "--into",
        f"{folder}/bundle",
        *more,
        "--",
        "true",
        "-x",
    ]


def test_a_bundle_is_written_and_sound(
    gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            bundle(tmp_path, "--gpus", "1", "--env", "A=b=c", "--mount", f"{tmp_path}:/data"), ROOT
        )
        == 0
    )
    told = capsys.readouterr().out
    assert f"driver  {gpu.driver}, 1 libraries, found by the loader's cache" in told
    assert f"run --bundle {tmp_path}/bundle NAME" in told
    made = json.loads((tmp_path / "bundle/config.json").read_text())
    assert made["process"]["args"] == ["true", "-x"]
    assert {"A=b=c", "NVIDIA_VISIBLE_DEVICES=1"} <= {*made["process"]["env"]}
    assert made["mounts"][-1]["destination"] == "/data"
    assert main(["lint", f"{tmp_path}/bundle"], ROOT) == 0


def test_a_bad_pair_is_usage(gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.driver
    with pytest.raises(SystemExit) as ended:
        main(bundle(tmp_path, "--env", "A"), ROOT)
    assert ended.value.code == 2
    assert "'A' has no '='" in capsys.readouterr().err


def test_a_machine_without_a_driver_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node, "read", lambda: Node("", (), (), (), ""))
    assert main(bundle(tmp_path), ROOT) == 4
    assert "no NVIDIA driver on this node" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_lint_names_file_rule_and_step(
    gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.driver
    main(bundle(tmp_path), ROOT)
    assert (
        main(
            ["lint", f"{tmp_path}/bundle/config.json", "--", "--nvproxy-driver-version=latest"],
            ROOT,
        )
        == 5
    )
    assert f"{tmp_path}/bundle/config.json: F3 flags: " in capsys.readouterr().out
    assert (
        main(["lint", "--json", f"{tmp_path}/bundle", "--", "--TESTONLY-unsafe-nonroot"], ROOT) == 5
    )
    assert [each["rule"] for each in json.loads(capsys.readouterr().out)] == ["F3"]


def test_lint_of_what_is_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{")
    assert main(["lint", str(tmp_path)], ROOT) == 4
    assert f"{tmp_path}/config.json: no JSON" in capsys.readouterr().err
    assert main(["lint", str(tmp_path / "none")], ROOT) == 4
    assert f"{tmp_path}/none: No such file or directory" in capsys.readouterr().err


def test_explain_reads_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runsc.log.boot.txt").write_text(REFUSAL)
    assert main(["explain", str(tmp_path)], ROOT) == 0
    told = capsys.readouterr().out
    assert told.startswith("unserved driver\n")
    assert "gVisor serves 550.54.14 from 20240325.0 on" in told


def test_explain_says_when_it_knows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("all is well\n")
    assert main(["explain", str(tmp_path / "log")], ROOT) == 5
    assert "nothing known in 1 file" in capsys.readouterr().out


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"], ROOT)
    assert ended.value.code == 0
    assert f"example:\n  python3 -m worker_images.node {name} " in capsys.readouterr().out


@pytest.mark.parametrize(("key", "node_value", "sandbox_value", "kept"), [
    ("matmul_tflops", 100.0, 97.0, True),
    ("matmul_tflops", 100.0, 96.9, False),
    ("launch_us", 10.0, 11.0, True),
    ("launch_us", 10.0, 11.1, False),
    ("start_s", 1.0, 1.31, False),
    ("allocate_us", 1.0, 9.0, True),
])  # fmt: skip
def test_a_bar_holds_or_is_missed(
    key: str, node_value: float, sandbox_value: float, kept: bool
) -> None:
    figure = next(each for each in FIGURES if each.key == key)
    measured = Measured(figure, (node_value, 0.1, 99999.0), (sandbox_value, 0.1, 99999.0))
    assert measured.kept is kept
    assert ("MISSED" in figures.text([measured])) is not kept
    assert json.loads(figures.as_json([measured]))["figures"][0]["kept"] is kept


def results(folder: Path) -> Path:
    """A run's results: a check that passed, one that did not run, one that failed."""
    suite = """<testsuites><testsuite><properties><property name="image_id" value="sha256:abc"/></properties>
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


def test_an_image_that_would_be_written_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = ("link", "x", str(tmp_path / "elsewhere"))
    file = archives.write(
        tmp_path / "image.tar", [archives.layer(link), archives.layer(("file", "x/owned", "1"))]
    )
    with pytest.raises(ImageError, match="/x/owned lies below /x, which is a link"):
        unpack(file, tmp_path / "root")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_lint_of_what_is_no_specification(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("[]", '{"linux": {"devices": [{}]}}'):
        (tmp_path / "config.json").write_text(text)
        assert main(["lint", str(tmp_path)], ROOT) == 4
        assert "not an OCI specification" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--variant", "nosuch"], "no variant nosuch; there are: full, slim"),
        (["--variant", "slim", "--python", ""], "no python3 on PATH"),
        (["--variant", "slim", "--other-runsc", "/none"], "no file /none"),
        (["--variant", "slim", "--figures", "--place", "engine"], "leave out --place"),
    ],
)
def test_what_cannot_be_meant_is_usage(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["workload", *options], ROOT) == 2
    assert said in capsys.readouterr().out


def test_results_that_are_not_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results(tmp_path) / proof.CHECKS).write_text("<testsuites>")
    assert main(["proof", str(tmp_path)], ROOT) == 4
    assert "not results of a whole run" in capsys.readouterr().err


def test_a_relative_root_is_usage(gpu: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.driver
    with pytest.raises(SystemExit) as ended:
        main(["bundle", "--rootfs", "root", "--into", "x", "--", "true"], ROOT)
    assert ended.value.code == 2
    assert "'root' does not begin with /" in capsys.readouterr().err


@pytest.mark.parametrize("root", ["/", "//"])
def test_the_nodes_own_root_is_refused(
    root: str, gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.driver
    assert main(["bundle", "--rootfs", root, "--into", f"{tmp_path}/b", "--", "true"], ROOT) == 4
    assert "is the node's own root" in capsys.readouterr().err


def test_an_interrupted_suite_lets_its_tests_tidy_up(tmp_path: Path) -> None:
    """The child gets one SIGINT, and is waited for."""
    (tmp_path / "tests/workload").mkdir(parents=True)
    (tmp_path / "tests/workload/test_x.py").write_text(
        "import os, pathlib, pytest, signal\n@pytest.fixture\ndef made():\n    yield\n   "
        " pathlib.Path('tidy').touch()\ndef test_x(made):\n    os.kill(os.getppid(),"
        " signal.SIGTERM)\n    signal.pause()\n"
    )
    program = f"""
import signal
from pathlib import Path
from worker_images.node import suite
signal.signal(signal.SIGTERM, signal.default_int_handler)
suite.test(Path({str(tmp_path)!r}), [], Path({str(tmp_path)!r}) / "x.xml")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyboardInterrupt" in found.stderr
    assert (tmp_path / "tidy").exists()


def test_node_and_sandbox_go_first_by_turns(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which side began each turn, and that each value is kept on its own side."""
    went: list[str] = []

    def replying(side: str, value: float) -> Callable[..., Answer]:
        def reply(*asked: object, **_: object) -> Answer:
            if "find_spec" not in str(asked):
                went.append(side)
            return Answer(
                0,
                json.dumps(dict.fromkeys(("launch_us", "copy_gb_per_s", "matmul_tflops"), value)),
                "",
            )

        return reply

    monkeypatch.setattr(figures, "answer", replying("node", 1.0))
    monkeypatch.setattr(figures, "sandbox", replying("sandbox", 2.0))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    measured = figures.measure(
        Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
    )
    starts = 2 * figures.STARTS
    assert went[starts : starts + 6] == ["node", "sandbox", "sandbox", "node", "node", "sandbox"]
    assert len(went) == starts + 2 * (figures.DRIVER_TURNS + figures.TORCH_TURNS)
    assert {
        each.figure.key: each.ratio for each in measured if each.figure.key != "start_s"
    } == dict.fromkeys(("launch_us", "copy_gb_per_s", "matmul_tflops"), 2.0)


def launches(*turns: list[list[float]]) -> Callable[..., Answer]:
    """Answers of a probe, a turn each, the last again and again."""
    left = list(turns)

    def reply(*asked: object, **_: object) -> Answer:
        missing = "find_spec" in str(asked)
        return Answer(
            int(missing),
            "" if missing else json.dumps({"launch_us": left.pop(0) if len(left) > 1 else left[0]}),
            "",
        )

    return reply


def test_launches_are_compared_at_the_processors_full_speed(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour on the core slows launch and yardstick alike, on whichever side it falls: such
    repeats say nothing of runsc.
    """
    fast, slow = [[4.0, 0.2], [4.2, 0.24]], [[5.7, 0.4], [5.8, 0.41]]
    monkeypatch.setattr(figures, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(figures, "answer", launches(fast))
    monkeypatch.setattr(figures, "sandbox", launches(*6 * [slow], [*fast, *slow]))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    found = figures.measure(
        Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
    )
    launch = next(each for each in found if each.figure.key == "launch_us")
    assert launch.ratio == 1.0
    assert len(launch.sandboxed) == figures.FULL_SPEED_TURNS
    assert len(launch.native) == 6 + figures.FULL_SPEED_TURNS


def test_a_slower_launch_is_not_excused_by_the_processor(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(figures, "answer", launches([[4.0, 0.2]]))
    monkeypatch.setattr(figures, "sandbox", launches([[5.7, 0.2]]))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    found = figures.measure(
        Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
    )
    assert "MISSED" in figures.text(found)


def test_a_side_that_was_never_at_full_speed_is_not_compared(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(figures, "answer", launches([[4.0, 0.2]]))
    monkeypatch.setattr(figures, "sandbox", launches([[5.7, 0.4]]))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    with pytest.raises(PlaceError, match="never at full speed on one side in 15 turns"):
        figures.measure(
            Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
        )
