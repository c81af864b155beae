"""Runs of the image layer on archives, as processes."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import commands
from worker_images.files import ROOT
from worker_images.model import results


def run(
    variant: str,
    archive: Path,
    checks: Sequence[str],
    *options: str,
    env: Mapping[str, str] | None = None,
) -> results.Run:
    """Run checks on an archive; a check that does not exist ends the run with another status.

    The report lies beside the archive, which must be a copy: in out/ lies the report of a build.
    """
    assert not archive.is_relative_to(ROOT / "out")
    paths = [f"tests/image/{check.replace('::', '.py::', 1)}" for check in checks]
    report = archive.with_suffix(".xml")
    command = [*commands.PYTEST, *paths, "--variant", variant, "--image", str(archive), *options]
    result = commands.run([*command, "--junit-xml", str(report)], cwd=ROOT, env=env)
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    return results.read(report)


def failures(variant: str, archive: Path, checks: Sequence[str], *options: str) -> dict[str, str]:
    """Run checks on an archive; return the whole text of each failure, by the check's name."""
    run(variant, archive, checks, *options)
    cases = ET.parse(archive.with_suffix(".xml")).iter("testcase")  # noqa: S314 - pytest wrote it
    return {
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": failure.text or ""
        for case in cases
        if (failure := case.find("failure")) is not None
    }
