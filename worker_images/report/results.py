"""What the checks came to: JUnit files as values, each check in words, each layer of proof with its
counts.
"""

import ast
import functools
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from worker_images.docstrings import summary
from worker_images.errors import JudgeError
from worker_images.model.document import read

# The variant of a check that is of no single one.
ALL = "all"
OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "not run"}


@dataclass(frozen=True)
class Layer:
    """A layer of proof: its question, the command that asks it, and the JUnit file of the
    answer.
    """

    name: str
    question: str
    command: str
    file: str


LAYERS = (
    Layer(
        "unit", "Do the maker and the judge do what they say?", "make test", "out/test/junit.xml"
    ),
    Layer(
        "static",
        "Is the committed text pinned, whole, and what its sources say?",
        "make test",
        "out/test/junit.xml",
    ),
    Layer(
        "image",
        "Does the image hold what it must and nothing that it must not? Does its runsc boot?",
        "make test-images",
        "out/{}/judge.xml",
    ),
    Layer(
        "workload",
        "Does CUDA work in the image's own runsc, and fail where it must? Without a GPU: does the"
        " sandbox boot with all in its place?",
        "make test-workload",
        "out/{}/workload.xml",
    ),
    Layer(
        "mutants",
        "Does the judge fail what was made wrong on purpose, and nothing else? Passed is killed,"
        " failed has survived.",
        "make test-mutants",
        "out/mutants/judge.xml",
    ),
)
OF_EACH_VARIANT = ("image", "workload", "mutants")


@dataclass(frozen=True)
class Check:
    """One check: its module's question, its own words, what it came to (passed, failed, not run)
    and why.
    """

    layer: str
    variant: str
    identity: str
    subject: str
    title: str
    parameter: str
    note: str
    outcome: str
    message: str


@dataclass(frozen=True)
class Run:
    """One JUnit file: when it was begun, the ID of the image that it speaks of, and its checks."""

    at: str
    image_id: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Row:
    """How many checks of a layer and a variant came to what; without a time it was never run."""

    layer: Layer
    variant: str
    at: str
    passed: int
    failed: int
    not_run: int


def runs(root: Path, variants: Sequence[str]) -> dict[str, Run]:
    """Every JUnit file that is there, by its name below the root.

    Raises JudgeError for one that is not whole.
    """
    names = {
        layer.file.format(name): name if "{}" in layer.file else ALL
        for layer in LAYERS
        for name in variants
    }
    return {
        name: _run(root, name, variant) for name, variant in names.items() if (root / name).exists()
    }


def rows(found: Mapping[str, Run], variants: Sequence[str]) -> tuple[Row, ...]:
    """The table variant by layer."""
    count = Counter(
        (check.layer, check.variant, check.outcome)
        for run in found.values()
        for check in run.checks
    )
    result = []
    for layer in LAYERS:
        for variant in (*variants, ALL):
            counts = [
                count[layer.name, variant, outcome] for outcome in ("passed", "failed", "not run")
            ]
            if any(counts) or (variant == ALL) != (layer.name in OF_EACH_VARIANT):
                at = found[layer.file.format(variant)].at if any(counts) else ""
                result.append(Row(layer, variant, at, *counts))
    return tuple(result)


def _run(root: Path, name: str, variant: str) -> Run:
    try:
        # Pytest wrote it.
        suite = next(ET.parse(root / name).getroot().iter("testsuite"))  # noqa: S314
        at = (
            datetime.fromisoformat(suite.get("timestamp", ""))
            .astimezone(UTC)
            .strftime("%Y-%m-%d %H:%MZ")
        )
    except (ET.ParseError, StopIteration, ValueError) as error:
        raise JudgeError(
            f"{name}: not a JUnit file: {error}; remove it and run its tests again"
        ) from error
    image_id = next(
        (
            each.get("value", "")
            for each in suite.iter("property")
            if each.get("name") == "image_id"
        ),
        "",
    )
    return Run(at, image_id, tuple(_check(root, case, variant) for case in suite.iter("testcase")))


def _check(root: Path, case: ET.Element, variant: str) -> Check:
    # A module that could not be collected has no class, and its own name as the test's.
    module, _, test = f"{case.get('classname')}::{case.get('name')}".removeprefix("::").partition(
        "::"
    )
    layer, said = module.split(".")[1], _docstrings(root / f"{module.replace('.', '/')}.py")
    function, _, parameter = test.removesuffix("]").partition("[")
    title, note = function.removeprefix("test_").replace("_", " "), said.get(function, "")
    if (
        layer == "mutants"
        and (path := root / "tests/mutants" / parameter / "mutant.yaml").is_file()
    ):
        mutant = read(path).value
        assert isinstance(mutant, dict)
        variant, title, note = (
            mutant.get("variant", variant),
            mutant["defect"],
            ", ".join(mutant["caught_by"]),
        )
    outcome, message = "passed", ""
    for found in case:
        if found.tag in OUTCOMES:
            outcome, message = (
                OUTCOMES[found.tag],
                (found.get("message") or found.text or "").removeprefix("not run: "),
            )
    subject = said.get("", module)
    return Check(
        layer,
        variant,
        f"{module}::{test}",
        subject,
        title[:1].upper() + title[1:],
        parameter,
        note,
        outcome,
        message,
    )


@functools.cache
def _docstrings(path: Path) -> dict[str, str]:
    """The first paragraph of a module's docstring, under the empty name, and of its functions'."""
    tree = ast.parse(path.read_text() if path.exists() else "")
    documented = [
        node for node in (tree, *tree.body) if isinstance(node, (ast.Module, ast.FunctionDef))
    ]
    return {
        getattr(node, "name", ""): summary(ast.get_docstring(node) or "")
        for node in documented
        if ast.get_docstring(node)
    }
