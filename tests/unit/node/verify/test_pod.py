"""verify --context runs the checks of a pod; a pod that cannot be reached is an error."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import fake_worker
from tests.support.fake_worker import DRIVER, Worker, failed, run
from worker_images.files import ROOT
from worker_images.model.capabilities import SANDBOX, mask
from worker_images.model.results import NOT_RUN, PASSED
from worker_images.node.place import PlaceError
from worker_images.node.verify import checklist

Change = Callable[[Worker], object]
CLASS, DEVICES, SERVED, COUNT, FILES, VISIBLE, PERMISSIONS, BOOT, IMAGE = (
    row.check for row in checklist.load() if row.layer == "pod"
)
POD = {CLASS, DEVICES, SERVED, COUNT, FILES, VISIBLE, PERMISSIONS, BOOT}


def test_valid_pod_passes(worker: Worker, pod_kit: Path) -> None:
    text, status, rows = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    assert status == 0, text
    assert {check for check, row in rows.items() if row["outcome"] == PASSED} == POD
    assert text.endswith("Yes: 8 of 8 checks passed; 15 not selected.")
    assert rows[SERVED]["seen"].startswith(f"{DRIVER}, one of 24 served drivers; release-2026")


def another_driver(worker: Worker) -> None:
    worker.write("proc/driver/nvidia/version", fake_worker.VERSION.replace(DRIVER, "550.54.14"))


def no_devices(worker: Worker) -> None:
    for path in (worker.tree / "dev").iterdir():
        path.unlink()


FAULTS: dict[str, tuple[Change, set[str], str]] = {
    "no class": (
        lambda w: (w.tree / "runtimeclass.json").unlink(),
        {CLASS},
        "RuntimeClass nvidia does not exist",
    ),
    "no devices": (no_devices, {DEVICES, COUNT, BOOT}, "missing devices: nvidiactl, nvidia-uvm"),
    "driver not served": (
        another_driver,
        {SERVED, FILES},
        (
            "this image's runsc does not serve the node's driver 550.54.14: sandboxes end with EOF;"
            " gVisor releases 20240325.0 to 20250811.0 serve 550.54.14"
        ),
    ),
    "no boot": (
        Worker.forbid_namespaces,
        {BOOT},
        "the machine does not permit runsc to create namespaces",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_broken_pod_fails(name: str, worker: Worker, pod_kit: Path) -> None:
    change, checks, message = FAULTS[name]
    change(worker)
    text, status, rows = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, failed(rows)) == (5, checks), text
    assert message in " ".join(rows[check]["reason"] for check in checks)


@pytest.mark.parametrize(
    ("capabilities", "rootless"), [(0, True), (mask("SYS_ADMIN"), True), (mask(*SANDBOX), False)]
)
def test_runsc_runs_with_the_rights_of_the_pod(
    capabilities: int, rootless: bool, worker: Worker, pod_kit: Path
) -> None:
    """A pod of sys-admin starts sandboxes as root, and may have no user namespaces."""
    worker.write("proc/self/status", f"CapEff:\t{capabilities:x}\nSeccomp:\t0\n")
    text, status, _ = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    assert status == 0, text
    lines = (worker.tree / "outputs/words").read_text().splitlines()
    assert len(lines) == 3
    assert {"--rootless" in line.split() for line in lines} == {rootless}


@pytest.mark.parametrize("folders", [("lib",), ("lib", "lib64")])
def test_sandbox_has_only_the_folders_of_the_pod(
    folders: tuple[str, ...], worker: Worker, pod_kit: Path
) -> None:
    """An image for arm64 has no /usr/lib64."""
    for name in folders:
        (worker.tree / "usr" / name).mkdir(parents=True, exist_ok=True)
    text, status, _ = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    assert status == 0, text
    config = json.loads((worker.tree / "outputs/config.json").read_text())
    found = {mount["destination"].removeprefix(str(worker.tree)) for mount in config["mounts"]}
    assert {path for path in found if path.count("/") == 2 and path.startswith("/usr/")} == {
        *("/usr/bin", "/usr/sbin"),
        *(f"/usr/{name}" for name in folders),
    }


def test_output_of_the_pod_is_escaped(worker: Worker, pod_kit: Path) -> None:
    """A terminal obeys some characters."""
    worker.write("outputs/boot", "")
    worker.write("outputs/errors", "\x1b[2Jgone\n")
    text, status, rows = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    assert status == 5
    assert "\\u001b[2Jgone" in rows[BOOT]["reason"]
    assert "\x1b" not in text


def test_misspelt_image_is_an_error(worker: Worker) -> None:
    """Its check would not run, which can be overlooked."""
    command = [sys.executable, "-m", "pytest", "tests/pod", "--context=lab"]
    command += [f"--kubectl={worker.kubectl}", "--image=out/slm/image.tar"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "--image out/slm/image.tar: no such file, and no digest; name an" in done.stderr


def test_check_creates_no_device(worker: Worker, pod_kit: Path) -> None:
    """A shell that opens a missing path for writing creates a file."""
    (worker.tree / "dev/nvidiactl").unlink()
    _, _, rows = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    assert rows[DEVICES]["reason"].startswith("missing devices: nvidiactl;")
    assert sorted(path.name for path in (worker.tree / "dev").iterdir()) == [
        "nvidia-uvm",
        "nvidia0",
    ]


def test_pod_that_restarts_in_a_check_passes_no_row(worker: Worker, pod_kit: Path) -> None:
    worker.restart(before="proc/self/status")
    text, status, rows = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, failed(rows)) == (5, POD)
    assert {rows[check]["outcome"] for check in POD} == {NOT_RUN}
    assert "the container ended (OOMKilled, exit code 137), restart count 0, now 1" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: (w.tree / "pod.json").unlink(), r'pods "worker" not found; check the name'),
        (lambda w: w.pod(phase="Pending"), "pod worker: Pending: container worker; see: kubectl"),
    ],
)
def test_pod_that_does_not_run_is_an_error(
    change: Change, message: str, worker: Worker, pod_kit: Path
) -> None:
    change(worker)
    with pytest.raises(PlaceError, match=message):
        run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)


def test_image_of_the_pod_is_compared_only_with_a_named_image(
    worker: Worker, pod_kit: Path
) -> None:
    rows = run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)[2]
    assert (rows[IMAGE]["selected"], rows[IMAGE]["step"]) == (False, "--context CTX --image FILE")


def test_results_as_json_contain_the_requirements(worker: Worker, pod_kit: Path) -> None:
    run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl)
    document = json.loads((pod_kit / "result.json").read_text())
    assert (document["passed"], document["counts"]) == (True, {PASSED: 8})
    rows = checklist.load()
    assert [row["requirement"] for row in document["rows"]] == [row.requirement for row in rows]
    assert {*document["rows"][0]} >= {
        *checklist.Row.__dataclass_fields__,
        "outcome",
        "seen",
        "reason",
        "step",
    }
