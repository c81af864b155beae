"""Results of checks: passed, failed or not run; JUnit files as values, with test docstrings."""

import ast
import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree as ET

from worker_images.docstrings import summary
from worker_images.errors import FailedTestsError
from worker_images.model import xml
from worker_images.untrusted import UntrustedError, parse_json, shown

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
OUTCOMES = (PASSED, FAILED, NOT_RUN)
MARKS = {PASSED: "✓", FAILED: "✗", NOT_RUN: "○"}
# The prefix of the skip reason of a test that the machine cannot run.
NOT_RUN_PREFIX = f"{NOT_RUN}: "
UNEXPLAINED = f"skipped without a reason that begins with {NOT_RUN_PREFIX!r}: "
# How many checks a message names.
FIRST = 5
# The variant of a check that does not belong to a single one.
ALL = "all"
_TAGS = {"failure": FAILED, "error": FAILED, "skipped": NOT_RUN}


class ResultsError(FailedTestsError):
    """A file does not hold complete results."""


# Names whose spelling a function's name cannot have.
SPELLING = {
    "abi": "ABI",
    "ca": "CA",
    "cdi": "CDI",
    "criu": "CRIU",
    "cuda": "CUDA",
    "elf": "ELF",
    "gpu": "GPU",
    "gpus": "GPUs",
    "gvisor": "gVisor",
    "id": "ID",
    "libcuda": "libcuda",
    "nccl": "NCCL",
    "nvidia": "NVIDIA",
    "nvproxy": "nvproxy",
    "pci": "PCI",
    "runc": "runc",
    "runsc": "runsc",
    "sha256": "SHA-256",
    "tls": "TLS",
}


@dataclass(frozen=True)
class Result:
    """An outcome, what was seen, why the check did not pass, and the next step."""

    outcome: str
    seen: str = ""
    reason: str = ""
    step: str = ""


@dataclass(frozen=True)
class Check:
    """A test with its result.

    `identity` is an argument for pytest: tests/image/test_runc.py::test_version[x].
    """

    identity: str
    result: Result
    seconds: float = 0.0
    variant: str = ALL
    subject: str = ""
    note: str = ""
    title: str = ""

    @property
    def file(self) -> str:
        """The test's module, relative to the checkout."""
        return self.identity.partition("::")[0]

    @property
    def layer(self) -> str:
        """The folder of tests/ that holds the module."""
        return self.identity.split("/")[1]

    @property
    def test(self) -> str:
        """The identity without the parameter."""
        return self.identity.partition("[")[0]

    @property
    def function(self) -> str:
        """The name of the test function; empty for a module that could not be collected."""
        return self.test.partition("::")[2]

    @property
    def parameter(self) -> str:
        """The name of the parameter; empty if the test has none."""
        return self.identity.partition("[")[2].removesuffix("]")


@dataclass(frozen=True)
class Run:
    """A JUnit file: when pytest began, its properties (image_id ...), and its checks."""

    at: str
    properties: Mapping[str, str]
    checks: tuple[Check, ...]

    def with_outcome(self, outcome: str) -> tuple[Check, ...]:
        """The checks with an outcome."""
        return tuple(check for check in self.checks if check.result.outcome == outcome)


def count(checks: Iterable[Check]) -> Counter[str]:
    """The number of checks with each outcome."""
    return Counter(check.result.outcome for check in checks)


def read(path: Path) -> Run:
    """Read a JUnit file of pytest; raises OSError, and ResultsError for an incomplete file."""
    return parse(xml.read_bytes(path), path)


def parse(data: bytes, path: Path) -> Run:
    """The JUnit file with these bytes; raises ResultsError for an incomplete file."""
    try:
        suite = next(xml.parse(data).iter("testsuite"))
        # Python 3.10 has no datetime.UTC.
        at = datetime.fromisoformat(suite.get("timestamp", "")).astimezone(timezone.utc)  # noqa: UP017
        return Run(
            at.strftime("%Y-%m-%d %H:%MZ"),
            _properties(suite.find("properties")),
            tuple(_check(case) for case in suite.iter("testcase")),
        )
    except (StopIteration, ValueError, OverflowError) as error:
        raise ResultsError(
            f"{path}: not a JUnit file: {error}; remove it and run its tests again"
        ) from error


def incomplete(run: Run) -> str:
    """Return why a run does not show the results of all its checks; empty if it does."""
    ran, collected = {check.identity for check in run.checks}, _collected(run)
    if not collected or ran != collected:
        return f"{len(ran)} of {len(collected)} checks ran: {_first(sorted(collected ^ ran))}"
    unexplained = [
        check.identity
        for check in run.with_outcome(NOT_RUN)
        if check.result.reason.startswith(UNEXPLAINED)
    ]
    return f"{UNEXPLAINED}{_first(unexplained)}" if unexplained else ""


def _collected(run: Run) -> set[str]:
    """The checks that pytest collected; empty if the report does not list them."""
    try:
        found = parse_json(run.properties.get("checks", "[]").encode())
    except UntrustedError:
        return set()
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:FIRST])


def _properties(element: ET.Element | None) -> dict[str, str]:
    found = element if element is not None else ()
    return {each.get("name", ""): each.get("value", "") for each in found}


def _check(case: ET.Element) -> Check:
    module, name = case.get("classname", ""), case.get("name", "")
    # For a module that could not be collected, pytest writes no class, and the module as the name.
    if not (module or name).startswith("tests."):
        raise ValueError(f"{shown(module or name)} is not a test module")
    path = f"{(module or name).replace('.', '/')}.py"
    seconds = float(case.get("time", "0"))
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} seconds")
    return Check(f"{path}::{name}" if module else path, _result(case), seconds)


def _result(case: ET.Element) -> Result:
    seen = _properties(case.find("properties")).get("seen", "")
    found = [child for child in case if child.tag in _TAGS]
    # A test that was skipped and whose teardown failed has both: the failure counts.
    for child in sorted(found, key=lambda child: _TAGS[child.tag] == NOT_RUN):
        reason = child.get("message") or child.text or ""
        outcome = _TAGS[child.tag]
        return Result(outcome, seen, _explained(reason) if outcome == NOT_RUN else reason)
    return Result(PASSED, seen)


def _explained(reason: str) -> str:
    if reason.startswith(NOT_RUN_PREFIX):
        return reason.removeprefix(NOT_RUN_PREFIX)
    return f"{UNEXPLAINED}{reason}"


def with_docstrings(check: Check, root: Path) -> Check:
    """The check with its module's docstring, its name as a title, and its own docstring."""
    texts = _docstrings(root, check.file)
    words = check.function.removeprefix("test_").split("_")
    title = " ".join(SPELLING.get(word, word) for word in words)
    return replace(
        check,
        subject=texts.get("", check.file),
        note=texts.get(check.function, ""),
        title=title if words[0] in SPELLING else title[:1].upper() + title[1:],
    )


@functools.cache
def _docstrings(root: Path, file: str) -> dict[str, str]:
    """The first paragraphs of the docstrings of a module (empty name) and its functions.

    Functions may come from a module of tests/ that several layers share.
    """
    path = root / file
    if not path.exists():
        return {}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shared: dict[str, str] = {}
    found = {"": ast.get_docstring(tree)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ast.get_docstring(node)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            shared |= _docstrings(root, f"{str(node.module).replace('.', '/')}.py")
    return shared | {name: summary(text) for name, text in found.items() if text}
