"""Are other valid manifests of workers than those in deploy/ accepted?"""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.support import kustomize, overlays
from tests.support.deployed import CONTAINER, DELETED, SECURITY, changed, found, rendered
from worker_images.harness import manifests
from worker_images.model.document import Location
from worker_images.model.gpus import GPU

RESOURCES = (*CONTAINER, "resources")
VALID: Sequence[tuple[Location, object]] = [
    (("spec", "strategy"), {"type": "Recreate"}),
    (("spec", "strategy", "rollingUpdate", "maxSurge"), "0%"),
    ((*RESOURCES, "limits"), {f"{GPU}.shared": 1}),
    (RESOURCES, {"claims": [{"name": "gpu"}]}),
    ((*CONTAINER, "ports"), [{"containerPort": 80}]),
    ((*SECURITY, "procMount"), "Default"),
    ((*SECURITY, "seLinuxOptions"), {"type": "container_t", "level": "s0:c1,c2"}),
    (
        (*manifests.TEMPLATE, "securityContext", "sysctls"),
        [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
    ),
]


@pytest.mark.parametrize(("place", "value"), VALID)
def test_other_valid_values_are_accepted(place: Location, value: object) -> None:
    assert found(changed("slim", ("Deployment", place, value))) == []


def test_claim_needs_no_class() -> None:
    """The driver of the claim adds the driver's files by CDI."""
    no_class = ("Deployment", (*manifests.TEMPLATE, "runtimeClassName"), DELETED)
    claim = ("Deployment", RESOURCES, {"claims": [{"name": "gpu"}]})
    assert found(changed("slim", no_class, claim)) == []


@pytest.mark.parametrize("kind", ["Pod", "Job", "CronJob"])
def test_pod_that_is_not_updated_needs_no_probes(kind: str) -> None:
    objects = rendered("slim")
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    for probe in ("startupProbe", "readinessProbe"):
        del template["spec"]["containers"][0][probe]
    template["spec"]["restartPolicy"] = "Never"
    metadata = {"name": "worker", "namespace": "worker-images"}
    job = {"template": template}
    specs = {
        "Pod": ("v1", template["spec"]),
        "Job": ("batch/v1", job),
        "CronJob": ("batch/v1", {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}}),
    }
    version, spec = specs[kind]
    value = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    objects[objects.index(deployment)] = value
    assert found(yaml.safe_dump_all(objects)) == []


def test_component_for_clusters_that_need_no_class(tmp_path: Path) -> None:
    """Without the component's annotation a class is missing."""
    text = kustomize.build(overlays.write(tmp_path, "slim", "deploy/components/no-runtime-class"))
    assert found(text) == []
    objects = [*yaml.safe_load_all(text)]
    assert "RuntimeClass" not in {each["kind"] for each in objects}
    deployment = next(each for each in objects if each["kind"] == "Deployment")
    assert "runtimeClassName" not in deployment["spec"]["template"]["spec"]
    del deployment["spec"]["template"]["metadata"]["annotations"]
    (fault,) = found(yaml.safe_dump_all(objects))
    assert fault.fix == "set runtimeClassName: nvidia, or use deploy/components/no-runtime-class"
