"""Overlays of deploy/, as users write them."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from worker_images.files import ROOT


def write(
    folder: Path,
    resource: str,
    *components: str,
    namespace: str = "",
    patches: Sequence[object] = (),
) -> Path:
    """Write a kustomization of a folder of deploy/ into an empty folder, and return it.

    Components are named by their paths in the checkout. Each patch is a JSON patch of the
    Deployment.
    """
    # kustomize reads no folder by an absolute path.
    above = Path(*[".."] * (len(folder.resolve().parts) - 1))
    root = above / ROOT.resolve().relative_to("/")
    target = {"kind": "Deployment"}
    kustomization = {
        "resources": [str(root / "deploy" / resource)],
        "components": [str(root / each) for each in components],
        "patches": [{"target": target, "patch": yaml.safe_dump([each])} for each in patches],
        **({"namespace": namespace} if namespace else {}),
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder
