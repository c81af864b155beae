"""JUnit files as pytest writes them."""

import xml.etree.ElementTree as ET
from pathlib import Path

Case = tuple[str, str, str | None, str]


def write(path: Path, *cases: Case, image_id: str = "") -> None:
    """A JUnit file as pytest writes it, of (classname, name, outcome's tag, message)."""
    suite = ET.Element("testsuite", timestamp="2026-11-23T15:37:29.041817+01:00")
    ET.SubElement(ET.SubElement(suite, "properties"), "property", name="image_id", value=image_id)
    for module, name, tag, message in cases:
        case = ET.SubElement(suite, "testcase", classname=module, name=name)
        if tag:
            ET.SubElement(case, tag, message=message)
    path.parent.mkdir(parents=True, exist_ok=True)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.ElementTree(root).write(path)


def passed(module: str, name: str = "test_one") -> Case:
    return f"tests.{module}", name, None, ""
