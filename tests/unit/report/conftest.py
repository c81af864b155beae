"""Fixtures: a report on two built images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import junit
from tests.support.archives import layer, write
from tests.support.records import RECORD
from worker_images.model import project
from worker_images.model.oci.outline import outline
from worker_images.report import report
from worker_images.report.report import Report


@pytest.fixture
def make_report(checkout: Path) -> Callable[..., Report]:
    """Return the report on a checkout with both images built.

    The given cases are of slim's image layer; all other checks passed.
    """
    junit.write(checkout / "out/tests/unit.xml", junit.passed("unit.test_x"))
    junit.write(checkout / "out/tests/static.xml", junit.passed("static.test_x"))
    junit.write(
        checkout / "out/tests/mutation.xml",
        junit.passed("mutation.test_mutants", "test_mutant_fails_its_checks[a]"),
    )
    mutant = checkout / "tests/mutation/a/mutant.yaml"
    mutant.parent.mkdir(parents=True)
    mutant.write_text(
        'variant: "full"\ndefect: "runsc was built for arm64"\ncaught_by:'
        ' ["test_runsc::test_runsc_is_built_for_the_architecture"]\n'
    )

    def make(*cases: junit.Case, tested: str | None = None) -> Report:
        for variant, count in (("slim", 2), ("full", 7)):
            folder = checkout / "out" / variant
            folder.mkdir(parents=True)
            layers = [layer(("file", f"{variant}{number}", "")) for number in range(count)]
            image_id = outline(write(folder / "image.tar", layers)).image_id
            record = replace(RECORD, variant=variant, image_id=image_id, lacks=("no GPU",))
            record.write(folder / "build.json")
            extra = cases if variant == "slim" else ()
            junit.write(
                folder / "image.xml",
                junit.passed("image.test_x"),
                *extra,
                image_id=tested or image_id,
            )
            junit.write(folder / "workload.xml", junit.passed("workload.test_x"), image_id=image_id)
        return report.read(project.read(checkout))

    return make
