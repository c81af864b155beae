"""A layer that nobody reviewed is not released."""

import pytest

from worker_images.errors import PolicyError
from worker_images.model.ledger import LEDGER_TESTS
from worker_images.model.results import NOT_RUN, PASSED
from worker_images.release import policy, tested
from worker_images.release.tested import LayerResults, Row

REASON = "not reviewed, no entry in images/ledger.json: gvisor"
DIGEST = f"sha256:{'1' * 64}"


def results(*rows: Row) -> tested.Tested:
    """The results of an image."""
    layer = LayerResults("image", (Row("tests/image/test_a.py::test_one", PASSED), *rows), "a" * 64)
    return tested.Tested("slim", "amd64", DIGEST, DIGEST, (layer,))


def test_image_whose_layers_were_not_reviewed_is_refused() -> None:
    row = Row(f"{LEDGER_TESTS}::test_layer", NOT_RUN, REASON)
    with pytest.raises(PolicyError, match=f"{REASON}; review the layers and run: make accept"):
        policy.enforce(results(row), frozenset())


def test_image_whose_layers_were_reviewed_is_accepted() -> None:
    policy.enforce(results(Row(f"{LEDGER_TESTS}::test_layer", PASSED)), frozenset())
