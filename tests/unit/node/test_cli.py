"""The commands for a GPU node print and return what their arguments request."""

import gzip
import json
import os
import threading
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node import node
from worker_images.node.cli import COMMANDS, main
from worker_images.node.node import Node

REFUSAL = "registering nvproxy driver: unsupported Nvidia driver version: 550.54.14\n"


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


def test_bundle_is_written_and_passes_lint(
    gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            bundle(tmp_path, "--gpus", "1", "--env", "A=b=c", "--mount", f"{tmp_path}:/data"), ROOT
        )
        == 0
    )
    output = capsys.readouterr().out
    assert f"driver  {gpu.driver}, 1 libraries from the loader's cache" in output
    assert f"run --bundle {tmp_path}/bundle NAME" in output
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    assert config["process"]["args"] == ["true", "-x"]
    assert {"A=b=c", "NVIDIA_VISIBLE_DEVICES=1"} <= {*config["process"]["env"]}
    assert config["mounts"][-1]["destination"] == "/data"
    assert main(["lint", f"{tmp_path}/bundle"], ROOT) == 0


def test_pair_without_separator_is_a_usage_error(
    gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.driver
    with pytest.raises(SystemExit) as exit_:
        main(bundle(tmp_path, "--env", "A"), ROOT)
    assert exit_.value.code == 2
    assert "'A' has no '='" in capsys.readouterr().err


def test_bundle_fails_without_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node, "read", lambda: Node("", (), (), (), ""))
    assert main(bundle(tmp_path), ROOT) == 4
    assert "no NVIDIA driver on this node" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_lint_prints_file_and_rule(
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


@pytest.mark.parametrize("options", [["--json"], ["--strict"], ["--runsc", "/bin/true"]])
def test_lint_takes_options_before_and_after_the_bundle(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    outputs = []
    for words in ([str(tmp_path), *options], [*options, str(tmp_path)]):
        main(["lint", *words, "--", "--nvproxy-driver-version=latest"], ROOT)
        outputs.append(capsys.readouterr())
    assert outputs[0] == outputs[1]
    assert "latest" in outputs[0].out


def test_lint_fails_for_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(tmp_path / "none")], ROOT) == 4
    assert f"{tmp_path}/none: No such file or directory" in capsys.readouterr().err


def test_explain_reads_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runsc.log.boot.txt").write_text(REFUSAL)
    assert main(["explain", str(tmp_path)], ROOT) == 0
    output = capsys.readouterr().out
    assert output.startswith("unserved driver\n")
    assert "gVisor releases 20240325.0 to 20250811.0 serve 550.54.14" in output


def test_explain_fails_without_a_known_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("Hello\n")
    assert main(["explain", str(tmp_path / "log")], ROOT) == 5
    assert "no known cause in 1 file" in capsys.readouterr().out


def test_explain_reads_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(REFUSAL,))
    writer.start()
    assert main(["explain", str(pipe)], ROOT) == 0
    writer.join()
    assert capsys.readouterr().out.startswith("unserved driver\n")


def test_explain_names_compressed_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rotated logs are often compressed."""
    assert main(["explain", str(tmp_path)], ROOT) == 2
    assert f"{tmp_path}: no log in plain text" in capsys.readouterr().err
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(REFUSAL.encode()))
    assert main(["explain", str(tmp_path)], ROOT) == 2
    assert f"{packed}: no log in plain text" in capsys.readouterr().err
    (tmp_path / "log").write_text("Hello\n")
    assert main(["explain", str(tmp_path)], ROOT) == 5
    assert f"not read, because compressed: {packed}" in capsys.readouterr().out


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"], ROOT)
    assert exit_.value.code == 0
    assert f"example:\n  python3 -m worker_images.node {name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variant", "nosuch"], "no variant nosuch; known variants: full, slim"),
        (["--variant", "slim", "--python", ""], "no python3 on PATH"),
        (["--variant", "slim", "--other-runsc", "/none"], "no file /none"),
        (["--variant", "slim", "--benchmark", "--place", "engine"], "remove --place"),
    ],
)
def test_contradictory_options_are_a_usage_error(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["workload", *options], ROOT) == 2
    assert message in capsys.readouterr().out


def test_relative_root_is_a_usage_error(gpu: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.driver
    with pytest.raises(SystemExit) as exit_:
        main(["bundle", "--rootfs", "root", "--into", "x", "--", "true"], ROOT)
    assert exit_.value.code == 2
    assert "'root' does not begin with /" in capsys.readouterr().err


@pytest.mark.parametrize("root", ["/", "//"])
def test_root_of_the_node_is_refused(
    root: str, gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.driver
    assert main(["bundle", "--rootfs", root, "--into", f"{tmp_path}/b", "--", "true"], ROOT) == 4
    assert "is the node's own root" in capsys.readouterr().err


def test_malformed_image_is_exit_5_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.tar"
    image.write_bytes(b"x" * 2000)
    assert main(["workload", "--variant", "slim", "--image", str(image), "--trust"], ROOT) == 5
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"workload: {image}: not an image archive: ")
