"""README, the Makefile and the folders of tests/ are as the table of test layers says."""

import re

from worker_images.files import ROOT
from worker_images.model.layers import LAYERS

MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_suite_is_a_layer() -> None:
    suites = {path.relative_to(ROOT / "tests").parts[0] for path in ROOT.glob("tests/**/test_*.py")}
    assert {layer.name for layer in LAYERS} == suites


def test_readme_has_the_table_of_layers() -> None:
    rows = "".join(
        f"| {layer.name} | {layer.question} | `make {layer.target}` | {layer.needs} |\n"
        for layer in LAYERS
    )
    assert rows in (ROOT / "README.md").read_text(), f"README.md must hold:\n{rows}"


def test_every_layer_has_a_target_that_writes_its_results() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    assert {layer.target for layer in LAYERS} <= targets
    files = {layer.file for layer in LAYERS if "{}" not in layer.file}
    assert [file for file in sorted(files) if f"--junit-xml {file}" not in MAKEFILE] == []
