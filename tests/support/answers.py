"""A kubectl that prints answers of a folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker_images.node.place import PlaceError
from worker_images.node.pod import kubectl
from worker_images.node.pod.kubectl import Pod

# Prints the answer for the kind and name, or else for the kind, as a real kubectl does.
KUBECTL = """#!/bin/sh
while [ "${{1#--}}" != "$1" ]; do shift; done
for file in "{folder}/$2-${{3##*/}}" "{folder}/$2"; do
  if [ -e "$file.json" ]; then exec cat "$file.json"; fi
  if [ -e "$file.error" ]; then cat "$file.error" >&2; exit 1; fi
done
echo "Error from server (NotFound): $2s \\"$3\\" not found" >&2
exit 1
"""


def make(folder: Path) -> Path:
    """Write kubectl into a folder, and the namespace."""
    (folder / "kubectl").write_text(KUBECTL.format(folder=folder))
    (folder / "kubectl").chmod(0o755)
    (folder / "namespace.json").write_text("{}")
    return folder


def pod(answers: Path, name: str = "worker", container: str = "") -> Pod:
    return Pod("lab", "gpu", name, container, str(answers / "kubectl"))


def write(answers: Path, found: dict[str, Any], name: str = "pod") -> None:
    (answers / f"{name}.json").write_text(json.dumps(found))


def error(answers: Path, name: str = "worker") -> str:
    with pytest.raises(PlaceError) as found:
        kubectl.find(pod(answers, name))
    return str(found.value)
