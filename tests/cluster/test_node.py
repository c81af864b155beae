"""Does the node give a pod exactly the GPUs of its limit, whichever way the plugin names them?"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.cluster.suite import ONE_GPU
from tests.support.kubernetes import Kubectl, worker_pod
from worker_images.cluster.cluster import Cluster
from worker_images.cluster.settings import Options
from worker_images.node.node import GPU

LOOK = 'ls /dev | grep nvidia; echo "visible ${NVIDIA_VISIBLE_DEVICES-unset}"'


@pytest.fixture
def plugin(cluster: Cluster) -> Iterator[Options]:
    """The options of the device plugin, which are put back at the end."""
    yield ONE_GPU
    cluster.hand_out(ONE_GPU)


def look(kubectl: Kubectl, pod: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the GPU devices of a new pod, and the value of NVIDIA_VISIBLE_DEVICES."""
    name = pod["metadata"]["name"]
    kubectl.apply(pod)
    kubectl.wait(f"pod/{name}")
    *devices, visible = kubectl("exec", name, "--", "sh", "-c", LOOK).splitlines()
    kubectl("delete", "pod", name, "--now")
    return [each for each in devices if GPU.match(each)], visible.split()[1]


def test_pod_with_a_limit_has_one_gpu(kubectl: Kubectl) -> None:
    """The plugin sets NVIDIA_VISIBLE_DEVICES, and nvidia-container-runtime adds the device."""
    assert look(kubectl, worker_pod("limit")) == (["nvidia0"], "0")


def test_pod_has_one_gpu_when_the_plugin_names_cdi_devices(
    kubectl: Kubectl, cluster: Cluster, plugin: Options
) -> None:
    """containerd adds the device; the value void is what every CDI specification sets."""
    cluster.hand_out(replace(plugin, cdi=True))
    assert look(kubectl, worker_pod("cdi")) == (["nvidia0"], "void")


def test_pods_share_a_gpu_with_time_slicing(
    kubectl: Kubectl, cluster: Cluster, plugin: Options
) -> None:
    cluster.hand_out(replace(plugin, replicas=2))
    first, second = worker_pod("first"), worker_pod("second")
    kubectl.apply(first, second)
    kubectl.wait("pod/first")
    kubectl.wait("pod/second")
    devices = [kubectl("exec", name, "--", "ls", "/dev") for name in ("first", "second")]
    kubectl("delete", "pod", "first", "second", "--now")
    assert [listing.split().count("nvidia0") for listing in devices] == [1, 1]


def test_pod_without_a_limit_has_no_gpu(kubectl: Kubectl) -> None:
    """A control: the class alone adds no device."""
    pod = worker_pod("no-limit")
    del pod["spec"]["containers"][0]["resources"]
    assert look(kubectl, pod) == ([], "unset")


def test_pod_without_the_class_has_no_gpu(kubectl: Kubectl) -> None:
    """A control: runc ignores NVIDIA_VISIBLE_DEVICES, which the plugin sets for the limit."""
    pod = worker_pod("no-class")
    del pod["spec"]["runtimeClassName"]
    assert look(kubectl, pod) == ([], "0")
