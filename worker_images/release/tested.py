"""The results of an image's test layers, as a value and as an in-toto test result.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from worker_images.model.results import FAILED, NOT_RUN, OUTCOMES, PASSED
from worker_images.typed import typed

# The member of the predicate with what its own members cannot express: layers, reasons, the image.
EXTENSION = "worker_images"


@dataclass(frozen=True)
class Row:
    """A check with its outcome; the reason is empty if it passed."""

    test: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True)
class LayerResults:
    """A test layer with its rows.

    `suite` is the digest of its test files, `report` the SHA-256 of the JUnit file, and `at` when
    the tests began. `machine` names the GPUs and the driver, where there were any. A layer that did
    not run has a reason and no rows.
    """

    name: str
    rows: tuple[Row, ...] = ()
    suite: str = ""
    report: str = ""
    at: str = ""
    reason: str = ""
    machine: str = ""

    def count(self, outcome: str) -> int:
        """The number of checks with an outcome."""
        return len(self.named(outcome))

    def named(self, outcome: str) -> tuple[str, ...]:
        """The checks with an outcome."""
        return tuple(row.test for row in self.rows if row.outcome == outcome)

    @property
    def counts(self) -> dict[str, object]:
        """Plain data: the number of checks with each outcome, and why the layer did not run."""
        numbers = {each.replace(" ", "_"): self.count(each) for each in OUTCOMES}
        return {"layer": self.name, **numbers, "reason": self.reason, "machine": self.machine}

    @property
    def text(self) -> str:
        """The counts for people."""
        numbers = ", ".join(f"{self.count(each)} {each}" for each in OUTCOMES)
        where = f" ({self.machine})" if self.machine else ""
        return f"{self.name}: {numbers if self.rows else self.reason}{where}"

    @property
    def outcome(self) -> str:
        """Failed if a check failed; passed if one passed and none failed; else not run."""
        return next((each for each in (FAILED, PASSED) if self.named(each)), NOT_RUN)


@dataclass(frozen=True)
class Tested:
    """The image of one archive, and the results of every layer that a release publishes."""

    variant: str
    architecture: str
    image_id: str
    manifest_digest: str
    layers: tuple[LayerResults, ...]

    def layer(self, name: str) -> LayerResults | None:
        """The layer with a name."""
        return next((each for each in self.layers if each.name == name), None)


def predicate(tested: Tested) -> dict[str, Any]:
    """The test result's predicate: equal results give an equal one.

    Checks that did not run are warnings, and so is a layer that did not run. EXTENSION has the
    reasons.
    """
    layers = tested.layers
    passed, failed, not_run = (
        sorted(test for layer in layers for test in layer.named(outcome))
        for outcome in (PASSED, FAILED, NOT_RUN)
    )
    warned = sorted([*not_run, *(f"tests/{layer.name}" for layer in layers if not layer.rows)])
    return {
        "result": "FAILED" if failed or not passed else "WARNED" if warned else "PASSED",
        "configuration": [
            {"name": f"tests/{layer.name}", "digest": {"sha256": layer.suite}}
            for layer in layers
            if layer.suite
        ],
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
        EXTENSION: json.loads(json.dumps(asdict(tested))),
    }


def read(found: Mapping[str, Any]) -> Tested:
    """The results of a predicate; raises UntrustedError."""
    return typed(Tested, found.get(EXTENSION), EXTENSION)
