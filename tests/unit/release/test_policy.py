"""What an image must have passed, and what its published test result must show."""

import copy
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.layer_results import (
    FAILING,
    GPU,
    LIMITED,
    NO_GPU,
    ONE_GPU,
    ONLY_SKIPS,
    PASSED_LAYER,
    POD,
    WORKLOAD,
)
from worker_images.errors import FailedTestsError, ImageBuildError, PolicyError, UsageError
from worker_images.model.results import NOT_RUN
from worker_images.release import policy, tested
from worker_images.release.tested import LayerResults

ID, DIGEST, OTHER = (f"sha256:{digit * 64}" for digit in "123")
NONE: frozenset[str] = frozenset()


def of(*layers: LayerResults) -> tested.Tested:
    """The results of an image."""
    return tested.Tested("slim", "amd64", ID, DIGEST, layers)


def test_image_layer_alone_is_enough_by_default() -> None:
    policy.enforce(of(PASSED_LAYER, POD, WORKLOAD), NONE)
    policy.enforce(of(LIMITED, POD, NO_GPU), NONE)
    policy.enforce(of(PASSED_LAYER, POD, GPU), policy.required(["image,workload"]))


def test_checks_of_several_gpus_need_not_run() -> None:
    """A node with one GPU has complete results; they are published as not run."""
    policy.enforce(of(PASSED_LAYER, POD, ONE_GPU), policy.required(["workload"]))
    with pytest.raises(PolicyError, match="1 of 2 checks did not: no NVIDIA driver"):
        policy.enforce(of(PASSED_LAYER, POD, NO_GPU), policy.required(["workload"]))


REFUSED: Mapping[str, tuple[tuple[LayerResults, ...], tuple[str, ...], int, str]] = {
    "no image layer": ((GPU,), (), 7, "required layer image is incomplete: no check passed; "),
    "image layer of skips": ((ONLY_SKIPS, POD, GPU), (), 7, "required layer image is incomplete: "),
    "image check not run": (
        (LIMITED, POD, GPU),
        ("image",),
        7,
        "required layer image is incomplete: 1 of 3 checks did not: no user namespaces; ",
    ),
    "workload not run": (
        (PASSED_LAYER, POD, WORKLOAD),
        ("workload",),
        7,
        (
            "required layer workload is incomplete: no results were passed with --results; run"
            " ./build.py gpu-kit --variant slim, unpack the kit on a GPU node"
        ),
    ),
    "no GPU": (
        (PASSED_LAYER, POD, NO_GPU),
        ("image,workload",),
        7,
        "required layer workload is incomplete: 1 of 2 checks did not: no NVIDIA driver; run",
    ),
    "pod not run": (
        (PASSED_LAYER, POD, GPU),
        ("pod", "workload"),
        7,
        "required layer pod is incomplete: no tests/pod exists; run make test-pod with CONTEXT",
    ),
    "failed check": (
        (PASSED_LAYER, POD, FAILING),
        (),
        5,
        "tests/workload failed: tests/workload/test_a.py::test_kernel",
    ),
    "failed check of a required layer": (
        (PASSED_LAYER, POD, FAILING),
        ("pod,workload",),
        5,
        "tests/workload failed: tests/workload/test_a.py::test_kernel",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_image_that_breaks_the_policy_is_refused(name: str) -> None:
    layers, require, code, message = REFUSED[name]
    with pytest.raises(ImageBuildError, match=f"^slim amd64: {re.escape(message)}") as error:
        policy.enforce(of(*layers), policy.required(require))
    assert error.value.exit_code == code
    assert type(error.value) in {PolicyError, FailedTestsError}
    assert str(error.value).endswith("; nothing was published")


@pytest.mark.parametrize("name", REFUSED)
def test_published_result_that_breaks_the_policy_is_refused(name: str) -> None:
    """Users cannot run the tests: the message names the publisher."""
    layers, require, _, message = REFUSED[name]
    faults = policy.check(tested.predicate(of(*layers)), ID, DIGEST, policy.required(require))
    known = r"the release has no complete results of \1: \2"
    message = re.sub("required layer (.*) is incomplete: (.*?)(;.*|$)", known, message)
    (fault,) = [each for each in faults if each.startswith(message)]
    assert ("from its publisher" in fault, "gpu-kit" in fault) == ("no compl" in message, False)


def test_required_layers_are_names_with_commas() -> None:
    assert policy.required([]) == NONE
    assert policy.required(["image, workload", "pod"]) == {"image", "workload", "pod"}


@pytest.mark.parametrize("text", ["gpu", "", "image,", "images", "Image", "image workload"])
def test_unknown_required_layer_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no such layer; known layers: image, pod, workload"):
        policy.required([text])


def test_predicate_lists_passed_failed_and_not_run_checks() -> None:
    found = tested.predicate(of(PASSED_LAYER, POD, NO_GPU))
    assert found == {
        "result": "WARNED",
        "configuration": [
            {"name": "tests/image", "digest": {"sha256": "a" * 64}},
            {"name": "tests/workload", "digest": {"sha256": "c" * 64}},
        ],
        "passedTests": [
            "tests/image/test_a.py::test_one",
            "tests/image/test_a.py::test_two",
            "tests/workload/test_a.py::test_cuda",
        ],
        "warnedTests": ["tests/pod", "tests/workload/test_a.py::test_kernel"],
        "failedTests": [],
        "worker_images": found["worker_images"],
    }
    assert found["worker_images"]["layers"][1]["reason"] == "no tests/pod exists"
    assert found["worker_images"]["layers"][2]["rows"][1] == {
        "test": "tests/workload/test_a.py::test_kernel",
        "outcome": "not run",
        "reason": "no NVIDIA driver",
    }


@pytest.mark.parametrize(
    ("layers", "result"),
    [
        ((PASSED_LAYER, GPU), "PASSED"),
        ((PASSED_LAYER, POD, GPU), "WARNED"),
        ((PASSED_LAYER, POD, WORKLOAD), "WARNED"),
        ((LIMITED, GPU), "WARNED"),
        ((PASSED_LAYER, POD, FAILING), "FAILED"),
        ((ONLY_SKIPS,), "FAILED"),
        ((), "FAILED"),
    ],
)
def test_result_is_passed_only_if_every_check_ran(
    layers: tuple[LayerResults, ...], result: str
) -> None:
    assert tested.predicate(of(*layers))["result"] == result


def test_predicate_is_deterministic_and_can_be_read() -> None:
    results = of(PASSED_LAYER, POD, NO_GPU)
    text = json.dumps(tested.predicate(results))
    assert text == json.dumps(tested.predicate(of(PASSED_LAYER, POD, NO_GPU)))
    assert tested.read(json.loads(text)) == results


def test_sound_result_has_no_fault() -> None:
    found = json.loads(json.dumps(tested.predicate(of(PASSED_LAYER, POD, GPU))))
    assert policy.check(found, ID, DIGEST, policy.required(["image,workload"])) == []


def rename(found: dict[str, Any], **fields: object) -> None:
    found["worker_images"] |= fields


def layer(found: dict[str, Any], number: int, **fields: object) -> None:
    found["worker_images"]["layers"][number] |= fields


def row(found: dict[str, Any], **fields: object) -> None:
    found["worker_images"]["layers"][2]["rows"][0] |= fields


def again(found: dict[str, Any], number: int) -> None:
    layers = found["worker_images"]["layers"]
    layers.append(layers[number])


EDITS: Mapping[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another image": (lambda it: rename(it, image_id=OTHER), f"is for image {OTHER}, not for {ID}"),
    "another manifest": (lambda it: rename(it, manifest_digest=OTHER), f"is for manifest {OTHER}"),
    "no extension": (lambda it: it.pop("worker_images"), "worker_images is not an object"),
    "unknown member": (lambda it: rename(it, note="x"), "worker_images.note is unknown"),
    "missing member": (lambda it: it["worker_images"].pop("image_id"), "has no image_id"),
    "number as a name": (lambda it: rename(it, variant=1), "variant is not a string"),
    "result": (lambda it: it.update(result="PASSED"), "differ from its worker_images"),
    "passed test added": (lambda it: it["passedTests"].append("tests/pod/test_a.py::x"), "differ"),
    "warning removed": (lambda it: it.update(warnedTests=[]), "differ from its worker_images"),
    "suite": (lambda it: layer(it, 0, suite="f" * 64), "differ from its worker_images"),
    "other member": (lambda it: it.update(url="https://example.com"), "differ"),
    "check that did not run": (lambda it: row(it, outcome=NOT_RUN), "has a check without a reason"),
    "unknown outcome": (
        lambda it: row(it, outcome="fine"),
        "layer workload has an unknown outcome",
    ),
    "check of another layer": (lambda it: row(it, test="tests/image/b.py::x"), "of another layer"),
    "no reason": (lambda it: layer(it, 1, reason=""), "layer pod has no reason"),
    "no suite": (lambda it: layer(it, 2, suite=""), "layer workload has no suite"),
    "layer removed": (lambda it: it["worker_images"]["layers"].pop(1), "layer pod is missing"),
    "layer twice": (lambda it: again(it, 1), "a layer has two results"),
    "check twice": (lambda it: again(it, 2), "a check has two results"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_result_is_refused(name: str) -> None:
    edit, message = EDITS[name]
    sound = tested.predicate(of(PASSED_LAYER, POD, GPU))
    found = copy.deepcopy(sound)
    edit(found)
    assert found != sound
    faults = policy.check(found, ID, DIGEST, NONE)
    assert any(message in fault for fault in faults), faults
