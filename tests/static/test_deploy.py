"""Are the manifests in deploy/ valid, and is every wrong one refused for its own reason?"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.support import kustomize, overlays
from tests.support.deployed import (
    CONTAINER,
    DELETED,
    DEPLOY,
    LABEL,
    SECURITY,
    WORKERS,
    changed,
    found,
    rendered,
)
from worker_images.errors import DocumentError
from worker_images.files import ROOT
from worker_images.harness import manifests
from worker_images.harness.manifests import LEVEL
from worker_images.model import catalog
from worker_images.model.document import Location
from worker_images.model.gpus import GPU

MIG = "nvidia.com/mig-1g.10gb"


@pytest.mark.parametrize("folder", [*WORKERS, "policy"])
def test_deploy_folder_is_valid(folder: str) -> None:
    assert found(kustomize.build(DEPLOY / folder)) == []


def test_variants_of_this_checkout_are_deployed() -> None:
    folders = {path.parent.name for path in DEPLOY.glob("*/kustomization.yaml")}
    assert folders == {*WORKERS, "base", "policy"}
    assert {*WORKERS} - {"beta9"} <= {*catalog.load(ROOT).buildable}


@pytest.mark.parametrize("folder", WORKERS)
def test_deploy_folder_has_what_a_worker_needs(folder: str) -> None:
    kinds = [each["kind"] for each in rendered(folder)]
    assert sorted({*kinds}) == ["ConfigMap", "Deployment", "Namespace", "RuntimeClass"]
    deployment = next(each for each in rendered(folder) if each["kind"] == "Deployment")
    assert deployment["metadata"]["name"] == f"worker-{folder}"
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector["app.kubernetes.io/instance"] == folder
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_beta9_has_the_pool_of_the_requirements() -> None:
    pools = next(each for each in rendered("beta9") if "pools.yaml" in each.get("data", {}))
    assert yaml.safe_load(pools["data"]["pools.yaml"])["worker"]["pools"]["gpu"] == {
        "runtime": "nvidia",
        "containerRuntime": "gvisor",
        "containerRuntimeConfig": {"gvisorPlatform": "systrap"},
    }
    assert {each["metadata"]["name"] for each in rendered("beta9")} >= {pools["metadata"]["name"]}


@pytest.mark.parametrize(
    ("component", "level", "user"), [("sys-admin", "privileged", 0), ("baseline", "baseline", 1000)]
)
def test_component_changes_the_privileges(
    component: str, level: str, user: int, tmp_path: Path
) -> None:
    text = kustomize.build(overlays.write(tmp_path, "slim", f"deploy/components/{component}"))
    assert found(text) == []
    objects = {each["kind"]: each for each in yaml.safe_load_all(text)}
    assert objects["Namespace"]["metadata"]["labels"][LEVEL] == level
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    security = pod["securityContext"] | pod["containers"][0]["securityContext"]
    assert security["runAsUser"] == user
    assert ("SYS_ADMIN" in security["capabilities"].get("add", [])) == (component == "sys-admin")


def test_level_baseline_refuses_the_component_sys_admin(tmp_path: Path) -> None:
    components = ("deploy/components/sys-admin", "deploy/components/baseline")
    (fault,) = found(kustomize.build(overlays.write(tmp_path, "slim", *components)))
    assert re.search(
        rf"Namespace/worker-images metadata\.labels\.{re.escape(LEVEL)}: the level is baseline;"
        r" baseline refuses Deployment worker-slim: .*SYS_ADMIN",
        str(fault),
    )


WRONG_FIELDS: Sequence[tuple[str, Location, object, str]] = [
    ("Deployment", (*CONTAINER, "resourcs"), {}, "'resourcs' was unexpected"),
    ("Deployment", (*CONTAINER, "livenessprobe"), {}, "'livenessprobe' was unexpected"),
    ("Deployment", ("spec", "replicas"), "1", "'1' is not of type 'integer'"),
    ("Deployment", (*CONTAINER, "args"), "sleep", "'sleep' is not of type 'array'"),
    ("Deployment", ("apiVersion",), "extensions/v1beta1", "Kubernetes 1.35 has no such kind"),
    ("RuntimeClass", ("handler",), DELETED, "'handler' is a required property"),
    ("Namespace", ("metadata", "lables"), {}, "'lables' was unexpected"),
]
NO_LIMIT = {"requests": {GPU: 1}}
VISIBLE = (*manifests.TEMPLATE, "initContainers", 0, "env", 0)
WRONG_VALUES: Sequence[tuple[str, Location, object, str]] = [
    ("Deployment", (*CONTAINER, "resources"), NO_LIMIT, "a request without a limit"),
    ("Deployment", (*CONTAINER, "resources", "limits", GPU), "500m", "'500m' is not a number of"),
    ("Deployment", (*CONTAINER, "resources", "limits", GPU), 0.5, "0.5 is not a number of GPUs"),
    ("Deployment", (*CONTAINER, "resources", "limits", GPU), 0, "0 is not a number of GPUs"),
    ("Deployment", (*CONTAINER, "resources", "requests", GPU), 2, "2, but the limit is 1"),
    ("Deployment", (*CONTAINER, "resources", "limits"), {}, "the class without a limit"),
    ("Deployment", (*CONTAINER, "resources", "limits"), {f"{GPU}.shared": 0}, "0 is not a number"),
    ("Deployment", (*CONTAINER, "resources", "limits"), {MIG: 1}, "a part of a GPU; nvproxy does"),
    ("Deployment", (*manifests.TEMPLATE, "runtimeClassName"), DELETED, "runtimeClassName: missing"),
    ("Deployment", (*manifests.TEMPLATE, "runtimeClassName"), "nvida", "did you mean nvidia?"),
    ("RuntimeClass", ("metadata", "name"), "gvisor", "RuntimeClass 'nvidia' is not defined"),
    ("Deployment", (*CONTAINER, "image"), "registry.example.com/worker:slim", "has no digest"),
    ("Deployment", (*CONTAINER, "image"), "worker@sha256:0", "has no digest"),
    ("Deployment", (*VISIBLE, "value"), "all", "'all'; the container has no limit"),
    ("Deployment", (*SECURITY, "allowPrivilegeEscalation"), DELETED, "Escalation: not set"),
    ("Deployment", (*SECURITY, "readOnlyRootFilesystem"), False, "Filesystem: False"),
    ("Deployment", (*SECURITY, "capabilities"), {}, "capabilities.drop: not set"),
    ("Deployment", (*SECURITY, "privileged"), True, "a privileged container"),
    ("Deployment", (*SECURITY, "runAsUser"), 0, "it may run as root"),
    ("Deployment", (*SECURITY, "runAsNonRoot"), False, "it may run as root"),
    ("Deployment", (*SECURITY, "seccompProfile"), DELETED, "seccompProfile: missing"),
    ("Deployment", (*SECURITY, "seccompProfile", "type"), "RuntimeDefault", "RuntimeDefault; it"),
    ("Deployment", (*SECURITY, "appArmorProfile"), DELETED, "appArmorProfile: missing"),
    ("Namespace", LABEL, "baseline", "the level is baseline"),
    ("Namespace", LABEL, "restricted", "the level is restricted"),
    ("Namespace", LABEL, DELETED, "the level is not set"),
    ("Deployment", (*manifests.TEMPLATE, "hostPID"), True, "hostPID: shared with the node"),
    (
        "Deployment",
        (*manifests.TEMPLATE, "volumes", 1),
        {"name": "sandboxes", "hostPath": {"path": "/run"}},
        "volumes[1].hostPath: the node's folder",
    ),
    ("Deployment", (*CONTAINER, "ports"), [{"containerPort": 80, "hostPort": 80}], "a port of the"),
    ("Deployment", (*SECURITY, "procMount"), "Unmasked", "procMount: the kernel's files in /proc"),
    ("Deployment", (*SECURITY, "seLinuxOptions"), {"type": "spc_t"}, "another SELinux label than"),
    ("Deployment", (*SECURITY, "seLinuxOptions"), {"user": "system_u"}, "another SELinux label"),
    (
        "Deployment",
        (*manifests.TEMPLATE, "securityContext", "seLinuxOptions"),
        {"role": "system_r"},
        "securityContext.seLinuxOptions: another SELinux label than a container's",
    ),
    (
        "Deployment",
        (*manifests.TEMPLATE, "securityContext", "sysctls"),
        [{"name": "net.ipv4.ip_forward", "value": "1"}],
        "sysctls: net.ipv4.ip_forward is not a safe setting",
    ),
    (
        "Deployment",
        (*manifests.TEMPLATE, "automountServiceAccountToken"),
        DELETED,
        "a token of the API server is mounted",
    ),
    ("Deployment", (*manifests.TEMPLATE, "affinity"), DELETED, "no node affinity on the driver"),
    (
        "Deployment",
        (*CONTAINER, "env", 0),
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
        "sets NVIDIA_VISIBLE_DEVICES",
    ),
    ("Deployment", (*CONTAINER, "env", 0, "value"), "compute,ngx", "'compute,ngx'; nvproxy"),
    ("Deployment", (*CONTAINER, "startupProbe"), DELETED, "startupProbe: missing"),
    ("Deployment", (*CONTAINER, "readinessProbe"), DELETED, "readinessProbe: missing"),
    ("Deployment", ("spec", "strategy"), DELETED, "maxSurge: not 0"),
    ("Deployment", ("spec", "strategy", "rollingUpdate", "maxSurge"), 1, "maxSurge: not 0"),
    ("Deployment", ("spec", "strategy", "rollingUpdate", "maxSurge"), "25%", "maxSurge: not 0"),
]


@pytest.mark.parametrize(("kind", "place", "value", "message"), [*WRONG_FIELDS, *WRONG_VALUES])
def test_wrong_manifest_is_refused_for_its_own_reason(
    kind: str, place: Location, value: object, message: str
) -> None:
    (fault,) = found(changed("slim", (kind, place, value)))
    assert message in str(fault)
    assert re.match(r"deploy\.yaml:[1-9]\d*:\d+: [A-Za-z]+/\S+ \S+: ", str(fault))
    assert fault.fix


def test_restricted_pod_does_not_need_the_level_privileged() -> None:
    """A namespace that is open for a pod that does not need it."""
    changes = [
        ("Deployment", (*SECURITY, name), DELETED) for name in ("seccompProfile", "appArmorProfile")
    ]
    faults = found(
        changed(
            "slim",
            *changes,
            ("Deployment", (*CONTAINER, "resources"), {}),
            ("Deployment", (*manifests.TEMPLATE, "runtimeClassName"), DELETED),
        )
    )
    assert [fault.fix for fault in faults] == ["set baseline"]


def test_fault_names_the_line_in_a_file() -> None:
    text = (DEPLOY / "base/worker.yaml").read_text()
    faults = found(text)
    line = text.splitlines().index("        image: worker") + 1
    assert next(fault.line for fault in faults if "image" in fault.key) == line


def test_key_that_occurs_twice_is_refused() -> None:
    text = "kind: Pod\nmetadata:\n  name: a\n  name: b\n"
    with pytest.raises(DocumentError, match=r"^pod\.yaml:4:3: Pod metadata\.name: 'name' twice;"):
        manifests.read(text, "pod.yaml")


def test_empty_documents_are_left_out() -> None:
    """Helm writes documents of comments alone."""
    (found,) = manifests.read("---\n# c\n---\n{}\n---\nkind: A\n---\n", "x.yaml")
    assert (found.kind, found.finding(("kind",), "", "", "").line) == ("A", 6)


def test_text_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"^pod\.yaml:2:1: \(file\): not valid YAML"):
        manifests.read("kind: [Pod\n", "pod.yaml")


def test_kustomization_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    """A control of the program that builds the manifests."""
    (tmp_path / "kustomization.yaml").write_text("resource: []\n")
    with pytest.raises(subprocess.CalledProcessError) as error:
        kustomize.build(tmp_path)
    assert 'unknown field "resource"' in error.value.stderr
