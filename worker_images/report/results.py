"""The results of the test layers in out/, counted by layer and variant."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.model import results
from worker_images.model.document import read
from worker_images.model.layers import LAYERS, Layer
from worker_images.model.results import ALL, FAILED, NOT_RUN, PASSED, Check, Run
from worker_images.model.tree import Tree

MUTATION = "mutation"


@dataclass(frozen=True)
class Row:
    """The counts of a layer and a variant; `at` is empty if it was never run."""

    layer: Layer
    variant: str
    at: str
    passed: int
    failed: int
    not_run: int


def runs(root: Path, variants: Sequence[str]) -> dict[str, Run]:
    """Read the JUnit files that exist, by their path below the folder; raises ResultsError."""
    names = {
        layer.file_of(variant): variant
        for layer in LAYERS
        for variant in (variants if "{}" in layer.file else (ALL,))
    }
    return {
        name: _run(root, name, variant) for name, variant in names.items() if (root / name).exists()
    }


def rows(
    found: dict[str, Run], variants: Sequence[str], layers: Sequence[Layer] = LAYERS
) -> tuple[Row, ...]:
    """Return a row for each layer and variant; a row for all variants only if it has checks."""
    checks: dict[tuple[str, str], list[Check]] = {}
    for run in found.values():
        for check in run.checks:
            checks.setdefault((check.layer, check.variant), []).append(check)
    result = []
    for layer in layers:
        for variant in (*variants, ALL):
            own = checks.get((layer.name, variant), [])
            if own or layer.per_variant == (variant != ALL):
                at = found[layer.file_of(variant)].at if own else ""
                result.append(_row(layer, variant, at, own))
    return tuple(result)


def _row(layer: Layer, variant: str, at: str, checks: Sequence[Check]) -> Row:
    count = results.count(checks)
    return Row(
        layer=layer,
        variant=variant,
        at=at,
        passed=count[PASSED],
        failed=count[FAILED],
        not_run=count[NOT_RUN],
    )


def _run(root: Path, name: str, variant: str) -> Run:
    run = results.read(root / name)
    checkout = Tree(root).checkout
    checks = (results.with_docstrings(check, checkout) for check in run.checks)
    return replace(
        run, checks=tuple(_of_mutant(replace(each, variant=variant), checkout) for each in checks)
    )


def _of_mutant(check: Check, root: Path) -> Check:
    """Describe a check of a mutant by the mutant's defect; other checks stay unchanged."""
    if check.layer != MUTATION or not check.parameter:
        return check
    path = root / Path(check.file).parent / check.parameter / "mutant.yaml"
    if not path.is_file():
        return check
    mutant = read(path).value
    assert isinstance(mutant, dict)
    return replace(
        check,
        variant=mutant.get("variant", check.variant),
        title=mutant["defect"][:1].upper() + mutant["defect"][1:],
        note=", ".join(mutant["caught_by"]),
    )
