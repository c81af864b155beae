"""Is the configuration the planned one, field by field?"""

import re
from collections.abc import Iterable, Mapping

import pytest

from worker_images.harness import expect
from worker_images.harness.collection import Case
from worker_images.model.drivers.table import Release
from worker_images.model.oci import manifest
from worker_images.model.oci.image import Image

pytestmark = [pytest.mark.mode("built"), pytest.mark.source("packages")]

ENTRYPOINT = ["/usr/bin/tini", "--"]
COMMAND = ["/bin/sh"]
SETTINGS = ("USER 0", 'ENTRYPOINT ["/usr/bin/tini" "--"]', 'CMD ["/bin/sh"]')


def labels_of(case: Case, contract: Release) -> dict[str, str]:
    """All labels of a worker image."""
    title = "org.opencontainers.image."
    return case.labels(contract.supported) | {
        f"{title}base.name": f"debian:{case.pins.debian.suite}",
        f"{title}description": case.catalog.variants[case.variant].purpose,
        f"{title}title": f"worker {case.variant}",
    }


def test_configuration_is_the_planned_one(image: Image, case: Case, contract: Release) -> None:
    """The configuration has no other field, such as an author or a variant."""
    environment = expect.variant(case.root, case.variant).environment
    expected = {
        "architecture": case.architecture,
        "config": {
            "ArgsEscaped": True,
            "Cmd": COMMAND,
            "Entrypoint": ENTRYPOINT,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Labels": labels_of(case, contract),
            "User": "0",
            "WorkingDir": "/",
        },
        # Tests of their own compare the time and the history.
        "created": image.config["created"],
        "history": image.config["history"],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in image.layers]},
    }
    assert image.config == expected


def test_history_is_that_of_the_planned_layers_and_settings(
    image: Image, case: Case, contract: Release
) -> None:
    history = image.config["history"]
    assert isinstance(history, list)
    fields = {"created", "created_by", "comment"}
    assert all(step.keys() - {"empty_layer"} == fields for step in history)
    assert {step["comment"] for step in history} == {"buildkit.dockerfile.v0"}
    steps = [step["created_by"] for step in history if not step.get("empty_layer")]
    copy = f"COPY /out-{case.pins.file_time}/ / # buildkit"
    assert steps == ["ADD base.tar / # buildkit", *[copy] * len(case.components)]
    environment = expect.variant(case.root, case.variant).environment
    rest = [step["created_by"] for step in history if step.get("empty_layer")]
    assert _pairs("ENV ", rest, environment) == sorted(environment)
    labels = labels_of(case, contract)
    assert _pairs("LABEL ", rest, labels) == sorted(labels)
    assert [step for step in rest if not step.startswith(("ENV ", "LABEL "))] == [*SETTINGS]


def _pairs(instruction: str, steps: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """The names that instructions set, sorted; an unknown text is among them."""
    pairs = {f"{name}={value} ": name for name, value in values.items()}
    found = []
    for step in (step for step in steps if step.startswith(instruction)):
        text = f"{step.removeprefix(instruction)} "
        while text:
            pair = next((pair for pair in pairs if text.startswith(pair)), text)
            found.append(pairs.get(pair, pair))
            text = text.removeprefix(pair)
    return sorted(found)


ANNOTATIONS = {
    "buildkit/rewritten-timestamp": r"[0-9]{10}",
    "org.opencontainers.image.created": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
}
# Repositories from which the engine knows a blob, in its own index of a saved image.
SOURCES = re.compile(r"containerd\.io/distribution\.source\.[a-z0-9.-]+")
REPOSITORIES = re.compile(r"[a-z0-9._/,-]{1,1000}")


def test_annotations_are_those_of_the_builder(image: Image) -> None:
    """No other text is shipped with the manifest and its layers."""
    *indexes, shipped = image.documents
    own = [pair for each in indexes for pair in manifest.annotations(each)]
    found = [pair for pair in own if not _is_source(*pair)] + [*manifest.annotations(shipped)]
    assert not [
        (key, value)
        for key, value in found
        if not re.fullmatch(ANNOTATIONS.get(key, "(?!)"), value)
    ]


def _is_source(key: str, value: str) -> bool:
    return bool(SOURCES.fullmatch(key) and REPOSITORIES.fullmatch(value))
