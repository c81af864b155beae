"""bundle writes the network and the limits of a container, and prints the flags that fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker_images.files import ROOT
from worker_images.node import limits
from worker_images.node.cli import main
from worker_images.node.node import Node

OWN = ["pid", "mount", "ipc", "uts"]


def bundle(folder: Path, *options: str) -> list[str]:
    paths = ["--rootfs", f"{folder}/rootfs", "--into", f"{folder}/bundle"]
    return ["bundle", *paths, *options, "--", "true"]


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "bundle/config.json").read_text())
    return found


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ([], "--network=none --platform=systrap --ignore-cgroups --overlay2=root:memory --nvproxy"),
        (
            ["--gpus", "none"],
            "--network=none --platform=systrap --ignore-cgroups --overlay2=root:memory",
        ),
        (
            ["--network", "host", "--memory", "2g"],
            "--network=host --platform=systrap --overlay2=root:memory --nvproxy",
        ),
        (
            ["--network", "/run/netns/job-1", "--cpus", "1.5"],
            "--network=sandbox --platform=systrap --overlay2=root:memory --nvproxy",
        ),
    ],
)
def test_printed_flags_fit_the_bundle(
    options: list[str],
    flags: str,
    gpu: Node,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.driver
    assert main(bundle(tmp_path, *options), ROOT) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"next    runsc {flags} run --bundle {tmp_path}/bundle NAME"


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("none", [{"type": "network"}]),
        ("host", []),
        ("/run/netns/job-1", [{"type": "network", "path": "/run/netns/job-1"}]),
    ],
)
def test_network_is_a_namespace_of_the_specification(
    network: str, expected: list[dict[str, str]], gpu: Node, tmp_path: Path
) -> None:
    assert gpu.driver
    assert main(bundle(tmp_path, "--network", network), ROOT) == 0
    assert written(tmp_path)["linux"]["namespaces"] == [{"type": name} for name in OWN] + expected


def test_limits_are_resources_of_the_specification(gpu: Node, tmp_path: Path) -> None:
    """gVisor's own limit on processes comes before that of the control group."""
    assert gpu.driver
    assert main(bundle(tmp_path, "--memory", "512m", "--cpus", "1.5", "--pids", "200"), ROOT) == 0
    config = written(tmp_path)
    assert config["linux"]["resources"] == {
        "memory": {"limit": 512 << 20},
        "cpu": {"quota": 150_000, "period": 100_000},
        "pids": {"limit": 900},
    }
    assert config["process"]["rlimits"] == [{"type": "RLIMIT_NPROC", "soft": 200, "hard": 200}]


def test_specification_has_no_limits_by_default(gpu: Node, tmp_path: Path) -> None:
    assert gpu.driver
    assert main(bundle(tmp_path), ROOT) == 0
    config = written(tmp_path)
    assert (config["linux"]["resources"], config["process"]["rlimits"]) == ({}, [])


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 1), ("3b", 3), ("4k", 4096), ("512M", 512 << 20), ("2g", 2 << 30)]
)
def test_size_has_units_of_docker(text: str, expected: int) -> None:
    assert limits.size(text) == expected


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--memory", "0", "'0' is not a size such as 512m or 2g"),
        ("--memory", "-1", "'-1' is not a size"),
        ("--memory", "1t", "'1t' is not a size"),
        ("--memory", "1.5g", "'1.5g' is not a size"),
        ("--memory", "\u0661", "is not a size"),
        ("--cpus", "0", "'0' is not a number of processors such as 0.5 or 2"),
        ("--cpus", "0.001", "'0.001' is not a number of processors"),
        ("--cpus", "nan", "'nan' is not a number of processors"),
        ("--cpus", "1e3", "'1e3' is not a number of processors"),
        ("--pids", "0", "'0' is not a number of processes such as 200"),
        ("--pids", "1.5", "'1.5' is not a number of processes"),
        ("--pids", "\u00b2", "is not a number of processes"),
        ("--network", "bridge", "'bridge' does not begin with /"),
    ],
)
def test_wrong_limit_is_a_usage_error(
    option: str,
    value: str,
    problem: str,
    gpu: Node,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.driver
    with pytest.raises(SystemExit) as exit_:
        main(bundle(tmp_path, option, value), ROOT)
    assert exit_.value.code == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
