"""Does a derived image begin with a worker image, and does it only add to it?"""

from collections.abc import Callable, Mapping, Sequence

import pytest

from worker_images.harness import changes, closed_world, derived, expect, programs, updates
from worker_images.harness.allow import Allowed
from worker_images.harness.collection import Case
from worker_images.harness.dangers import RULES
from worker_images.harness.derived import Derivation, Promise
from worker_images.harness.plugin import one_line_errors
from worker_images.harness.programs import Mark
from worker_images.harness.updates import Updates
from worker_images.model.drivers.table import Release
from worker_images.model.oci.image import Entry, Image
from worker_images.untrusted import listed

pytestmark = pytest.mark.mode("derived")


@pytest.fixture(scope="module")
def promise(case: Case, contract: Release) -> Promise:
    """What an image made from the variant must keep."""
    own = {name: expect.component(case.root, name, case.architecture) for name in case.components}
    return Promise(
        environment=expect.variant(case.root, case.variant).environment,
        labels=case.labels(contract.supported),
        paths=frozenset(path for each in own.values() for path in each.files),
        traces={
            name: expect.component(case.root, name, case.architecture).traces
            for name in case.catalog.components
        },
    )


@pytest.fixture(scope="module")
def marks(case: Case) -> Mapping[str, list[Mark]]:
    """What reveals the programs of each component by their contents."""
    texts = {
        name: expect.component(case.root, name, case.architecture).marks
        for name in case.catalog.components
    }
    found = {name: [Mark(text.encode()) for text in each] for name, each in texts.items()}
    for name, module in case.modules.items():
        found[name].append(programs.go_main(module))
    return found


@pytest.fixture(scope="module")
def newer(image: Image, worker: Image, case: Case) -> Updates:
    """What newer Debian packages hold; without any, no index is fetched."""
    with one_line_errors():
        found = updates.newer(image, worker)
        locked = case.lock.packages[case.architecture]
        files = closed_world.debs(found, case.pins.debian, locked, case.architecture, every=False)
        return updates.updates(worker, files, case.rules)


@pytest.fixture(scope="module")
def derivation(
    image: Image, worker: Image, promise: Promise, marks: Mapping[str, list[Mark]], newer: Updates
) -> Derivation:
    """The derived image, and how it differs from its worker image."""
    added = image.layers[len(worker.layers) :]
    return Derivation(
        image,
        worker,
        promise,
        changes=tuple(changes.changes(image, worker, newer)),
        programs=tuple(programs.find(added, marks)),
        updated=newer.held(image),
    )


@pytest.mark.first
def test_first_layers_are_those_of_a_worker_image(
    image: Image,
    known_images: Sequence[Sequence[str]],
    case: Case,
    request: pytest.FixtureRequest,
) -> None:
    """The layers are in images/ledger.json, or are those of the last build of this checkout."""
    fault = derived.other_origin(image, known_images, case.variant)
    if fault:
        request.session.shouldfail = "the image is not derived from this worker image"
        pytest.fail(fault, pytrace=False)


@pytest.mark.parametrize("rule", RULES)
def test_later_layers_keep_the_rule(rule: str, derivation: Derivation, allowed: Allowed) -> None:
    """No path or setting breaks the rule, unless the allow file lists it."""
    with one_line_errors():
        found = allowed.refused(dict.fromkeys(RULES[rule](derivation)))
    if found:
        pytest.fail(listed(map(str, found)), pytrace=False)


def test_added_paths_are_listed(
    derivation: Derivation, list_paths: Callable[[list[str]], None]
) -> None:
    """The file of --listing names each path that a later layer adds, with the layer's origin."""
    lines = [_line(derivation.image, entry) for entry in derivation.added]
    list_paths(lines)
    assert derivation.image.layers


def _line(image: Image, entry: Entry) -> str:
    origin = closed_world.origin(image, entry)
    return f"{entry.path}: {closed_world.describe(entry)}; {origin}"
