"""Which test layers an image must pass before it is released, and what its test result must show.

`image` must have passed: this is the default, and no option removes it. Checks of it that this
machine cannot run are published as "not run". A layer of --require must have passed without a
check that did not run. A failed check always refuses the image.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from worker_images.errors import FailedTestsError, PolicyError, UsageError
from worker_images.model.ledger import LEDGER_TESTS
from worker_images.model.results import FAILED, FIRST, NOT_RUN, OUTCOMES, PASSED
from worker_images.release import tested as results
from worker_images.release.tested import LayerResults, Tested
from worker_images.untrusted import UntrustedError, shown

REQUIRED = "image"
# A node with one GPU cannot run these; where they did not run, a release says so.
SEVERAL_GPUS = "tests/workload/test_several_gpus.py"
# The layers whose results a release publishes, and how a publisher runs each.
STEPS: Mapping[str, str] = {
    "image": "run it on the archive where every check can run, and pass its results with --results"
    " (docs/release.md)",
    "pod": "run make test-pod with CONTEXT, POD and IMAGE=out/VARIANT/image.tar on a cluster with"
    " GPUs, and pass the folder out/tests with --results",
    "workload": "run ./build.py gpu-kit --variant VARIANT, unpack the kit on a GPU node, run"
    " `gpu-kit/run --other-runsc FILE --require workload` there as root, and pass the folder"
    " gpu-kit/results with --results",
}


def required(layers: Iterable[str]) -> frozenset[str]:
    """The layers of --require, each a name or a list with commas; raises UsageError."""
    names = {name.strip() for each in layers for name in each.split(",")}
    if unknown := sorted(names - STEPS.keys()):
        raise UsageError(
            f"--require: {', '.join(map(repr, unknown))}: no such layer; known layers:"
            f" {', '.join(STEPS)}"
        )
    return frozenset(names)


def enforce(tested: Tested, complete: frozenset[str]) -> None:
    """Raise FailedTestsError for failed checks, and PolicyError for a required layer not run."""
    name = f"{tested.variant} {tested.architecture}"
    if failed := _failed(tested):
        raise FailedTestsError(f"{name}: {'; '.join(failed)}; nothing was published")
    missing = [
        f"required layer {layer} is incomplete: {lack};"
        f" {STEPS[layer].replace('VARIANT', tested.variant)}"
        for layer, lack in _missing(tested, complete)
    ]
    if missing := [*missing, *_unreviewed(tested)]:
        raise PolicyError(f"{name}: {'; '.join(missing)}; nothing was published")


def check(
    predicate: Mapping[str, Any], image_id: str, digest: str, complete: frozenset[str]
) -> list[str]:
    """Return the faults of a test result for an image, by its ID and manifest digest."""
    try:
        tested = results.read(predicate)
    except UntrustedError as error:
        return [f"the test result is not one of ./build.py release: {error}"]
    faults = [
        f"the test result is for {name} {shown(found)}, not for {wanted}"
        for name, found, wanted in (
            ("image", tested.image_id, image_id),
            ("manifest", tested.manifest_digest, digest),
        )
        if found != wanted
    ]
    faults += _malformed(tested)
    if results.predicate(tested) != predicate:
        faults.append(f"the lists of the test result differ from its {results.EXTENSION}")
    for layer, lack in _missing(tested, complete):
        other = f", or remove {layer} from --require" if layer in complete else ""
        faults.append(
            f"the release has no complete results of {layer}: {lack}; request them from its"
            f" publisher{other}"
        )
    return [*faults, *_failed(tested)]


def _failed(tested: Tested) -> list[str]:
    return [
        f"tests/{layer.name} failed: {_first(layer.named(FAILED))}"
        for layer in tested.layers
        if layer.outcome == FAILED
    ]


def _missing(tested: Tested, complete: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The required layers that are not complete, with what each lacks."""
    for name in sorted({REQUIRED, *complete}):
        if lack := _lack(tested.layer(name), every=name in complete):
            yield name, lack


def _unreviewed(tested: Tested) -> list[str]:
    """Why layers could not be compared with the ledger; such layers are not released."""
    return [
        f"{row.reason}; review the layers and run: make accept"
        for layer in tested.layers
        for row in layer.rows
        if row.test.startswith(f"{LEDGER_TESTS}::") and row.outcome == NOT_RUN
    ]


def _lack(layer: LayerResults | None, *, every: bool) -> str:
    """Return what a layer lacks to have passed; empty if it did."""
    if not layer or not layer.named(PASSED):
        return (layer and layer.reason) or "no check passed"
    rows = [
        row
        for row in layer.rows
        if row.outcome == NOT_RUN and not row.test.startswith(f"{SEVERAL_GPUS}::")
    ]
    if not every or not rows:
        return ""
    return f"{len(rows)} of {len(layer.rows)} checks did not: {rows[0].reason}"


def _malformed(tested: Tested) -> list[str]:
    """Rows that no release writes."""
    names = [layer.name for layer in tested.layers]
    tests = [row.test for layer in tested.layers for row in layer.rows]
    faults = ["a layer has two results"] if len({*names}) < len(names) else []
    faults += ["a check has two results"] if len({*tests}) < len(tests) else []
    faults += [f"layer {name} is missing" for name in STEPS if name not in names]
    for layer in tested.layers:
        rows = layer.rows
        if any(not row.test.startswith(f"tests/{layer.name}/") for row in rows):
            faults.append(f"layer {shown(layer.name)} has checks of another layer")
        if any(row.outcome not in OUTCOMES for row in rows):
            faults.append(f"layer {shown(layer.name)} has an unknown outcome")
        if not (layer.suite if rows else layer.reason):
            faults.append(f"layer {shown(layer.name)} has no {'suite' if rows else 'reason'}")
        if any(row.outcome == NOT_RUN and not row.reason for row in rows):
            faults.append(f"layer {shown(layer.name)} has a check without a reason")
    return faults


def _first(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - FIRST} more" if len(names) > FIRST else ""
    return f"{', '.join(map(shown, names[:FIRST]))}{more}"
