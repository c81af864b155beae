"""Does the command that bundle prints run its bundle, with the network and the limits?"""

import re
from pathlib import Path

import pytest

from tests.sandboxes.launcher import NO_GPU
from tests.sandboxes.networks import RESOLVER, Network
from tests.sandboxes.places import GREETING, Neighbour
from worker_images.files import ROOT
from worker_images.node import node
from worker_images.node.bundle import root
from worker_images.node.cli import main

MEMORY = "256m"


def test_printed_command_runs_the_bundle(
    runsc_network: Network,
    neighbour: Neighbour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The memory of the sandbox is the limit, and a page arrives through its network."""
    network, launcher = runsc_network, runsc_network.launcher
    monkeypatch.setattr(node, "read", lambda: NO_GPU)
    # The root is in the worker alone.
    monkeypatch.setattr(root, "check", lambda *_: "")
    options = [
        *("--network", network.namespace().network, "--memory", MEMORY, "--cpus", "1"),
        *("--pids", "50", "--mount", f"{RESOLVER}:{RESOLVER}", "--env", "PATH=/bin"),
    ]
    script = f"grep MemTotal /proc/meminfo; ulimit -u; wget -q -O - {neighbour.url}"
    paths = ["--rootfs", f"{launcher.folder}/rootfs", "--into", str(tmp_path / "bundle")]
    command = ["bundle", *paths, "--gpus", "none", *options, "--", "/bin/sh", "-c", script]
    assert main(command, ROOT) == 0
    found = re.search(r"^next +(runsc .*) NAME$", capsys.readouterr().out, re.MULTILINE)
    assert found
    folder = launcher.worker('mktemp -d -p "$1"', launcher.folder).strip()
    config = (tmp_path / "bundle" / "config.json").read_bytes()
    launcher.worker.put(f"{folder}/config.json", config)
    text = found[1].replace(str(tmp_path / "bundle"), folder)
    text = text.replace("runsc", f"runsc --root={launcher.state}", 1)
    total, processes, page = launcher.worker(f"{text} printed").splitlines()
    assert int(total.split()[1]) << 10 == 256 << 20
    assert (processes, page) == ("50", GREETING)
