"""Sandboxes in a pod: how runsc is started there, and one that hangs."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pod.sandboxes import Sandboxes
from tests.pod.worker import Worker
from tests.support import fake_worker
from worker_images.files import ROOT
from worker_images.model.capabilities import SANDBOX, mask
from worker_images.model.drivers import table
from worker_images.node.node import Device, Node
from worker_images.node.pod import boot, kubectl
from worker_images.node.pod.kubectl import Pod
from worker_images.node.pod.permissions import Permissions

DRIVERS = table.read(ROOT / table.DRIVERS)
DEVICES = tuple(
    Device(f"/dev/{name}", 195, minor)
    for name, minor in (("nvidiactl", 255), ("nvidia-uvm", 0), ("nvidia0", 0))
)
USER, ADMIN = (Permissions({"CapEff": f"{bits:x}"}) for bits in (0, mask(*SANDBOX)))
PRINTS_ITS_WORDS = '#!/bin/sh\necho "gvisor $*"\n'
PRINTS_AN_ESCAPE = "#!/bin/sh\nprintf '\\033[2J' >&2\nexit 1\n"
HANGS = "#!/bin/sh\nexec sleep 600\n"


@pytest.fixture
def pod(tmp_path: Path) -> fake_worker.Worker:
    """A fake worker whose runsc prints its command line."""
    found = fake_worker.make(tmp_path / "tree")
    runsc(found, PRINTS_ITS_WORDS)
    return found


@pytest.fixture
def sandboxes(pod: fake_worker.Worker, tmp_path: Path) -> Iterator[Sandboxes]:
    """Sandboxes of a user without privileges, with the devices of a GPU."""
    worker = Worker(*kubectl.find(Pod("lab", kubectl=pod.kubectl)))
    folder = tmp_path / "folder"
    folder.mkdir()
    yield Sandboxes(worker, Node("", DEVICES, (), (), ""), str(folder), USER)
    worker.close()


def runsc(pod: fake_worker.Worker, text: str) -> None:
    """Replace the pod's runsc."""
    pod.write("usr/local/bin/runsc", text)
    (pod.tree / "usr/local/bin/runsc").chmod(stat.S_IRWXU)


def test_runsc_runs_with_the_rights_of_the_pod(sandboxes: Sandboxes) -> None:
    """A pod of sys-admin starts sandboxes as root, and may have no user namespaces."""
    for action in (Sandboxes.boot, lambda each: each.run("true")):
        assert " --rootless " in action(sandboxes).output
        assert "--rootless" not in action(replace(sandboxes, permissions=ADMIN)).output


@pytest.mark.parametrize("folders", [("lib",), ("lib", "lib64")])
def test_sandbox_has_only_the_folders_of_the_pod(
    folders: tuple[str, ...], sandboxes: Sandboxes, pod: fake_worker.Worker
) -> None:
    """An image for arm64 has no /usr/lib64."""
    for name in folders:
        (pod.tree / "usr" / name).mkdir(parents=True, exist_ok=True)
    sandboxes.run("true")
    config = json.loads(Path(sandboxes.folder, "config.json").read_text())
    found = {mount["destination"].removeprefix(str(pod.tree)) for mount in config["mounts"]}
    expected = {"/usr/bin", "/usr/sbin", *(f"/usr/{name}" for name in folders)}
    assert {path for path in found if path.startswith("/usr/")} == expected


def test_sandbox_that_hangs_fails_and_the_shell_goes_on(
    sandboxes: Sandboxes, pod: fake_worker.Worker
) -> None:
    runsc(pod, HANGS)
    found = replace(sandboxes, seconds=1.0).run("true")
    problem = boot.started(found, "the log's last line", USER, DRIVERS).problem
    assert problem.startswith("runsc failed: the sandbox did not end in 1 seconds; read its")
    sandboxes.worker.check_alive()
    runsc(pod, PRINTS_ITS_WORDS)
    assert boot.started(sandboxes.boot(), "", USER, DRIVERS).problem == ""


def test_output_of_the_pod_is_escaped(sandboxes: Sandboxes, pod: fake_worker.Worker) -> None:
    """A terminal obeys some characters."""
    runsc(pod, PRINTS_AN_ESCAPE)
    assert "\\u001b[2J" in sandboxes.boot().errors


def test_misspelt_image_is_an_error(pod: fake_worker.Worker) -> None:
    """Its check would not run, which can be overlooked."""
    command = [sys.executable, "-m", "pytest", "tests/pod", "--context=lab"]
    command += [f"--kubectl={pod.kubectl}", "--image=out/slm/image.tar"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "--image out/slm/image.tar: no such file, and no digest; name an" in done.stderr
