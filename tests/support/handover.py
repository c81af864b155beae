"""Sealed reports of test layers in a small checkout, as a release reads them."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.model import seal, suite
from worker_images.release.results import Subject

LAYERS = ("image", "workload")
CHECKS = ("test_one", "test_two[x]", "test_three")
SUBJECT = Subject("slim", "amd64", f"sha256:{'1' * 64}", f"sha256:{'2' * 64}", Path("none"))


def checkout(root: Path) -> Path:
    """A checkout with one test file for each layer."""
    for layer in LAYERS:
        file = root / f"tests/{layer}/test_a.py"
        file.parent.mkdir(parents=True)
        file.write_text(f"# the tests of {layer}\n")
    return root


@dataclass(frozen=True)
class Report:
    """A report of a layer, with the faults that a test gives it.

    `reasons` has the reason of each check that did not run, and `failed` the checks that failed.
    """

    layer: str = "workload"
    subject: Subject = SUBJECT
    ran: tuple[str, ...] = CHECKS
    collected: tuple[str, ...] = CHECKS
    failed: tuple[str, ...] = ()
    reasons: Mapping[str, str] | None = None
    properties: Mapping[str, str] | None = None
    module: str = ""

    def write(self, folder: Path, root: Path, *, sealed: bool = True) -> Path:
        """Write the report into a folder, and its seal with the user's key."""
        path = folder / f"{self.layer}.xml"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(root))
        if sealed:
            seal.write(path, seal.own_key())
        return path

    def text(self, root: Path) -> str:
        """The JUnit file."""
        module = self.module or f"tests.{self.layer}.test_a"
        names = [f"{module.replace('.', '/')}.py::{name}" for name in self.collected]
        properties = {
            "image_id": self.subject.image_id,
            "manifest_digest": self.subject.manifest_digest,
            "variant": self.subject.variant,
            "suite": suite.digest(root, self.layer),
            "checks": json.dumps(names),
        } | dict(self.properties or {})
        element = ET.Element("testsuite", timestamp="2026-11-23T15:37:29.041817+01:00")
        section = ET.SubElement(element, "properties")
        for name, value in properties.items():
            ET.SubElement(section, "property", name=name, value=value)
        for name in self.ran:
            case = ET.SubElement(element, "testcase", classname=module, name=name)
            if name in self.failed:
                ET.SubElement(case, "failure", message="AssertionError: no")
            elif reason := (self.reasons or {}).get(name):
                ET.SubElement(case, "skipped", message=reason)
        return ET.tostring(element, encoding="unicode")


def subject(root: Path, image: Report | None = None) -> Subject:
    """The subject with a report of its image layer."""
    report = image or Report("image")
    path = report.write(root / "out" / report.subject.variant, root)
    return replace(report.subject, report=path)
