"""Do the commands of docs/kubernetes.md work, and do pods that do not start show its messages?"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import overlays
from tests.support.kubernetes import Kubectl, manifest_digest, worker_pod
from worker_images.cluster.cluster import Cluster
from worker_images.cluster.settings import CONTEXT, NODE
from worker_images.files import ROOT
from worker_images.node import node
from worker_images.node.stand_in import DRIVER

PAGE = (ROOT / "docs/kubernetes.md").read_text()
BLOCKS = re.findall(r"^( *)```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
LINES = [line.strip() for _, block in BLOCKS for line in block.splitlines() if line.strip()]
# These start and end the cluster: CI runs them by themselves.
OF_CI = {"make cluster", "make test-pod", "make cluster-stop"}
# The page says why CI does not run these.
NEEDS_GPU = [line for line in LINES if line.startswith("./build.py verify")]
MINE = "make test-pod CONTEXT=my-cluster NAMESPACE=worker-images POD=deployment/worker-slim"
# Gives the Deployment an earlier revision.
CHANGE = "kubectl --namespace worker-images set env deployment/worker-slim A=1"
BEFORE = {"kubectl --namespace worker-images rollout undo deployment/worker-slim": CHANGE}
NAMES = {"NODE": NODE, "my-cluster": CONTEXT}
ROW = re.compile(r"^\| (`[^|]+`) \| .* \| .* \|$", re.MULTILINE)


@pytest.fixture
def checkout(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A checkout whose deploy/slim has stand-ins, and this checkout's image."""
    kubectl = Kubectl(cluster)
    # Deleted at the end, so it must not be that of somebody's worker.
    assert not kubectl.get("namespaces", "--field-selector=metadata.name=worker-images")["items"]
    for name in ("build.py", "Makefile", ".venv", "tests", "worker_images", "versions.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "deploy/policy", tmp_path / "deploy/policy")
    for name in ("deploy/slim", "my-overlay"):
        (tmp_path / name).mkdir()
        overlays.write(
            tmp_path / name,
            "slim",
            namespace="worker-images",
            driver=DRIVER,
            digest=manifest_digest("slim"),
        )
    yield tmp_path
    kubectl("delete", "namespace", "worker-images", "--ignore-not-found")
    kubectl("delete", "--kustomize", str(ROOT / "deploy/policy"), "--ignore-not-found")


def command_of(line: str) -> str:
    """Return a line without the shell's eval, which would hide its status."""
    found = re.fullmatch(r'eval "\$\((.*)\)"', line)
    return found[1] if found else line


def run(line: str, checkout: Path, cluster: Cluster) -> "subprocess.CompletedProcess[str]":
    """Run a line of the page in a shell, with the cluster's kubectl."""
    for name, value in NAMES.items():
        line = re.sub(rf"\b{name}\b", value, line)
    environment = os.environ | {
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": f"{cluster.kubectl.parent}:{os.environ['PATH']}",
        "PYTEST_ADDOPTS": "" if node.driver() else "--stand-in",
    }
    return subprocess.run(
        ["sh", "-c", line],
        cwd=ROOT if line.startswith("make") else checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_of_the_page_work_in_their_order(cluster: Cluster, checkout: Path) -> None:
    lines = [line for line in LINES if line not in {*OF_CI, *NEEDS_GPU}]
    assert len(lines) > 8
    for line in lines:
        for each in filter(None, (BEFORE.get(line), line)):
            done = run(command_of(each), checkout, cluster)
            assert done.returncode == 0, f"{each}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def test_commands_that_the_page_test_leaves_to_ci_are_in_ci() -> None:
    """`make cluster-stop` is what CI's last step runs."""
    text = (ROOT / ".ci/run").read_text()
    assert {"target make cluster\n", "target make test-pod\n"} <= {
        line + "\n" for line in text.splitlines()
    }
    assert "./build.py cluster stop" in text
    assert set(LINES) >= OF_CI


def test_node_without_the_handler_shows_the_message_of_the_page(
    kubectl: Kubectl, runtime_class: Callable[[str], str]
) -> None:
    pod = worker_pod("handler")
    pod["spec"]["runtimeClassName"] = runtime_class("nvidia-2")
    assert 'no runtime for "nvidia-2" is configured' in event(kubectl, pod)


def test_image_that_cannot_be_pulled_shows_the_message_of_the_page(kubectl: Kubectl) -> None:
    pod = worker_pod("image")
    pod["spec"]["containers"][0]["image"] = f"registry.invalid/worker@sha256:{64 * '1'}"
    kubectl.apply(pod)
    reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    kubectl.wait("pod/image", f"{reason}=ErrImagePull")
    kubectl.wait("pod/image", f"{reason}=ImagePullBackOff")
    assert "registry.invalid" in event(kubectl, pod)


def test_node_without_a_specification_shows_the_message_of_the_page(
    kubectl: Kubectl, cluster: Cluster
) -> None:
    # The folder stays: containerd watches it.
    cluster.exec(["sh", "-c", "cd /etc/cluster/cdi && mkdir away && mv nvidia.* away"])
    try:
        message = event(kubectl, worker_pod("specification"))
    finally:
        cluster.exec(["sh", "-c", "cd /etc/cluster/cdi && mv away/nvidia.* . && rmdir away"])
    assert "unresolvable CDI devices nvidia.com/gpu=0" in message


def test_messages_of_the_page_are_those_that_tests_have_seen() -> None:
    """Tests have other names of RuntimeClasses."""
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    cells = ROW.findall(PAGE.partition("## If a worker does not start")[2])
    messages = [each for cell in cells for each in re.findall("`([^`]+)`", cell)]
    assert len(messages) == 11
    assert len(NEEDS_GPU) == 1
    patterns = [re.escape(each).replace('"nvidia"', '"[^"]+"') for each in messages]
    assert [each for each in patterns if not re.search(each, sources)] == []


def event(kubectl: Kubectl, pod: dict[str, object]) -> str:
    """Return the first warning about a new pod."""
    kubectl.apply(pod)
    metadata = pod["metadata"]
    assert isinstance(metadata, dict)
    name = metadata["name"]
    watch = [
        *("get", "events", "--watch", "--request-timeout=60s"),
        "--output=jsonpath={.message}{'\\n'}",
        f"--field-selector=involvedObject.name={name},type=Warning",
    ]
    with subprocess.Popen([*kubectl.command, *watch], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = process.stdout.readline()
        process.kill()
    kubectl("delete", "pod", name, "--now")
    return found
