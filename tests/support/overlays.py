"""Overlays of deploy/, as users write them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.kubernetes import Kubectl
from worker_images.files import ROOT

# An operation of a JSON patch.
Patch = Mapping[str, object]
STAND_IN = "tests/cluster/stand-in"


def write(
    folder: Path,
    resource: str,
    *components: str,
    namespace: str = "",
    patches: Sequence[Patch] = (),
    driver: str = "",
    digest: str = "",
) -> Path:
    """Write a kustomization of a folder of deploy/ into an empty folder, and return it.

    Components are named by their paths in the checkout, and a driver is that of a node with
    stand-ins. Patches change the Deployment.
    """
    # kustomize reads no folder by an absolute path.
    above = Path(*[".."] * (len(folder.resolve().parts) - 1))
    root = above / ROOT.resolve().relative_to("/")
    all_components = (*components, *((STAND_IN,) if driver else ()))
    target = {"kind": "Deployment"}
    kustomization: dict[str, object] = {
        "resources": [str(root / "deploy" / resource)],
        "components": [str(root / each) for each in all_components],
        "patches": [{"target": target, "patch": yaml.safe_dump([each])} for each in patches],
    }
    if namespace:
        kustomization["namespace"] = namespace
    if digest:
        kustomization["images"] = [{"name": "registry.example.com/worker", "digest": digest}]
    if driver:
        text = f"version=NVRM version: NVIDIA UNIX Open Kernel Module  {driver}  Release Build"
        kustomization["configMapGenerator"] = [{"name": "driver", "literals": [text]}]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def objects(kubectl: Kubectl, overlay: Path) -> list[dict[str, Any]]:
    """Return the objects that `kubectl apply -k` would send."""
    return [*yaml.safe_load_all(kubectl("kustomize", str(overlay)))]


def pod(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the specification of the Deployment's pods."""
    (deployment,) = [each for each in found if each["kind"] == "Deployment"]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec
