"""Does the API server accept deploy/, and refuse what is wrong with a sentence that helps?"""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import overlays
from tests.support.kubernetes import Kubectl
from worker_images.files import ROOT

POLICY = str(ROOT / "deploy/policy")
ENFORCE = "worker-images/policy=enforce"
GPU = "nvidia.com/gpu"
SYS_ADMIN, RUNC = "deploy/components/sys-admin", "deploy/components/runc"
TAG = "registry.example.com/worker:slim"
DENIED = "ValidatingAdmissionPolicy 'worker-images' with binding 'worker-images' denied request: "
SECONDS = 20

Change = Callable[[dict[str, Any]], object]


def template(kubectl: Kubectl, folder: Path, *components: str) -> dict[str, Any]:
    """The pod's specification in slim with components."""
    return overlays.pod(overlays.objects(kubectl, overlays.write(folder, "slim", *components)))


def created(kubectl: Kubectl, spec: dict[str, Any], kind: str = "Pod") -> tuple[int, str]:
    """Let the API server check an object with a pod; return kubectl's status and errors."""
    labels = {"app.kubernetes.io/name": "worker"}
    metadata = {"name": "worker", "labels": labels}
    if kind == "Pod":
        value = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    else:
        pod = {"metadata": {"labels": labels}, "spec": spec}
        whole = {"selector": {"matchLabels": labels}, "template": pod}
        value = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": whole}
    arguments = ("create", "--dry-run=server", "--validate=strict", "--filename=-")
    result = kubectl.run(*arguments, text=json.dumps(value))
    return result.status, result.errors


@pytest.fixture(scope="module")
def guarded(kubectl: Kubectl) -> Iterator[Kubectl]:
    """The namespace of the tests with the policy, from the moment at which it acts."""
    kubectl("label", "namespace", kubectl.namespace, ENFORCE)
    kubectl("apply", "--kustomize", POLICY)
    deadline = time.monotonic() + SECONDS
    command = ("run", "tagged", f"--image={TAG}", "--dry-run=server")
    while "images by digest only" not in kubectl.run(*command).errors:
        assert time.monotonic() < deadline, "the policy does not act"
    yield kubectl
    kubectl("delete", "--kustomize", POLICY)


@pytest.mark.parametrize("folder", ["slim", "full", "beta9", "policy"])
def test_deploy_folder_is_accepted(folder: str, guarded: Kubectl, tmp_path: Path) -> None:
    overlay = overlays.write(tmp_path, folder, namespace=guarded.namespace)
    output = guarded("apply", "--dry-run=server", "--validate=strict", "--kustomize", str(overlay))
    lines = output.splitlines()
    assert len(lines) >= 2
    assert all(line.endswith("(server dry run)") for line in lines)


def test_types_in_the_policy_are_right(guarded: Kubectl) -> None:
    """The controller manager compares the expressions with the types of Kubernetes."""
    guarded.wait("validatingadmissionpolicy/worker-images", "jsonpath={.status.observedGeneration}")
    status = guarded.get("validatingadmissionpolicy", "worker-images")["status"]
    assert status["typeChecking"] == {}


def worker(spec: dict[str, Any]) -> dict[str, Any]:
    """The container of the worker."""
    found: dict[str, Any] = spec["containers"][0]
    return found


def host_path(spec: dict[str, Any]) -> None:
    """Replace a volume by a folder of the node."""
    spec["volumes"][1] = {"name": "sandboxes", "hostPath": {"path": "/run/gvisor"}}


def unmask(spec: dict[str, Any]) -> None:
    """Show the kernel's files in /proc, which needs a user namespace."""
    spec["hostUsers"] = False
    worker(spec)["securityContext"]["procMount"] = "Unmasked"


KERNEL = "a worker keeps the kernel settings and the label of its container"
FORWARD = {"name": "net.ipv4.ip_forward", "value": "1"}
LABEL = {"user": "system_u", "role": "system_r", "type": "container_t"}
WRONG: dict[str, tuple[Change, str]] = {
    "unknown field": (
        lambda spec: worker(spec).update(resourcs={}),
        'unknown field "spec.containers[0].resourcs"',
    ),
    "wrong type": (lambda spec: worker(spec).update(args="sleep"), "cannot unmarshal string"),
    "request without limit": (
        lambda spec: worker(spec).update(resources={"requests": {GPU: "1"}}),
        "Limit must be set for non overcommitable resources",
    ),
    "fraction": (
        lambda spec: worker(spec).update(resources={"limits": {GPU: "500m"}}),
        "must be an integer",
    ),
    "RuntimeClass": (
        lambda spec: spec.update(runtimeClassName="nvida"),
        'RuntimeClass "nvida" not found',
    ),
    "tag": (
        lambda spec: worker(spec).update(image=TAG),
        (
            f"{DENIED}this namespace admits images by digest only, and container worker has {TAG};"
            " name the image as REGISTRY/NAME@sha256:DIGEST"
        ),
    ),
    "tag of an init container": (
        lambda spec: spec["initContainers"][0].update(image=TAG),
        f"{DENIED}this namespace admits images by digest only, and container check-driver has",
    ),
    "privileged": (
        lambda spec: worker(spec).update(securityContext={"privileged": True}),
        f"{DENIED}a worker needs no privileged container, and this one is: worker; use",
    ),
    "capability": (
        lambda spec: worker(spec).update(securityContext={"capabilities": {"add": ["BPF"]}}),
        f"{DENIED}no worker needs this capability: container worker adds BPF; deploy/",
    ),
    "host path": (
        host_path,
        f"{DENIED}a worker shares nothing with its node: remove hostPath of volume sandboxes",
    ),
    "host port": (
        lambda spec: worker(spec).update(ports=[{"containerPort": 80, "hostPort": 80}]),
        f"{DENIED}a worker shares nothing with its node: remove hostPort of container worker",
    ),
    "unmasked proc": (
        unmask,
        f"{DENIED}{KERNEL}: remove procMount of container worker",
    ),
    "kernel setting": (
        lambda spec: spec["securityContext"].update(sysctls=[FORWARD]),
        f"{DENIED}{KERNEL}: remove sysctl net.ipv4.ip_forward",
    ),
    "label of the pod": (
        lambda spec: spec["securityContext"].update(seLinuxOptions={"type": "spc_t"}),
        f"{DENIED}{KERNEL}: remove seLinuxOptions with spc_t",
    ),
    "label of a container": (
        lambda spec: worker(spec)["securityContext"].update(seLinuxOptions=LABEL),
        f"{DENIED}{KERNEL}: remove seLinuxOptions with system_u:system_r:container_t",
    ),
    "host's processes": (
        lambda spec: spec.update(hostPID=True),
        f"{DENIED}a worker shares nothing with its node: remove hostPID",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_pod_is_refused_for_its_own_reason(
    name: str, guarded: Kubectl, tmp_path: Path
) -> None:
    change, message = WRONG[name]
    spec = template(guarded, tmp_path)
    change(spec)
    status, errors = created(guarded, spec)
    assert status == 1
    assert message in errors
    assert errors.count("ValidatingAdmissionPolicy") == message.count("ValidatingAdmissionPolicy")


@pytest.mark.parametrize("components", [(), (SYS_ADMIN,), (SYS_ADMIN, RUNC)])
def test_pod_of_deploy_is_admitted(
    components: tuple[str, ...], guarded: Kubectl, tmp_path: Path
) -> None:
    """The control of the test above."""
    assert created(guarded, template(guarded, tmp_path, *components)) == (0, "")


def test_settings_of_baseline_are_admitted(guarded: Kubectl, tmp_path: Path) -> None:
    spec = template(guarded, tmp_path)
    cookies = {"name": "net.ipv4.tcp_syncookies", "value": "1"}
    spec["securityContext"] |= {"sysctls": [cookies], "seLinuxOptions": {"level": "s0:c1,c2"}}
    worker(spec)["securityContext"] |= {
        "procMount": "Default",
        "seLinuxOptions": {"type": "container_t"},
    }
    worker(spec)["ports"] = [{"containerPort": 80}]
    assert created(guarded, spec) == (0, "")


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_workload_with_a_tag_is_refused_at_once(
    kind: str, guarded: Kubectl, tmp_path: Path
) -> None:
    spec = template(guarded, tmp_path)
    assert created(guarded, spec, kind)[0] == 0
    worker(spec)["image"] = TAG
    status, errors = created(guarded, spec, kind)
    assert status == 1
    assert f"{DENIED}this namespace admits images by digest only" in errors


def test_debug_container_with_a_tag_is_refused(guarded: Kubectl, tmp_path: Path) -> None:
    spec = template(guarded, tmp_path) | {"nodeSelector": {"none": "such"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "target"}, "spec": spec}
    guarded.apply(pod)
    command = ("debug", "target", "--attach=false", "--container=shell")
    refused = guarded.run(*command, "--profile=general", "--image=busybox:1")
    assert refused.status == 1
    assert "images by digest only, and container shell has busybox:1" in refused.errors
    image = worker(spec)["image"]
    privileged = guarded.run(*command, "--profile=sysadmin", f"--image={image}")
    assert "a worker needs no privileged container, and this one is: shell" in privileged.errors


def test_namespace_without_the_label_is_not_concerned(guarded: Kubectl) -> None:
    other = Kubectl(guarded.cluster, "default")
    other("run", "tagged", f"--image={TAG}", "--dry-run=server")


@pytest.fixture(scope="module")
def baseline(kubectl: Kubectl) -> Iterator[Kubectl]:
    """A namespace with the Pod Security level baseline."""
    found = Kubectl(kubectl.cluster, f"{kubectl.namespace}-baseline")
    found("create", "namespace", found.namespace)
    found("label", "namespace", found.namespace, "pod-security.kubernetes.io/enforce=baseline")
    yield found
    found("delete", "namespace", found.namespace, "--wait=false")


def test_level_baseline_refuses_each_privilege_by_name(baseline: Kubectl, tmp_path: Path) -> None:
    status, errors = created(baseline, template(baseline, tmp_path, SYS_ADMIN))
    assert status == 1
    assert re.search(r'violates PodSecurity "baseline:latest": .*"SYS_ADMIN"', errors)
    status, errors = created(baseline, template(baseline, tmp_path))
    assert status == 1
    assert 'violates PodSecurity "baseline:latest"' in errors
    assert "seccompProfile" in errors
    assert "SYS_ADMIN" not in errors


def test_level_baseline_admits_the_component_baseline(baseline: Kubectl, tmp_path: Path) -> None:
    spec = template(baseline, tmp_path, "deploy/components/baseline")
    assert created(baseline, spec) == (0, "")
