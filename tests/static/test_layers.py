"""Do README, the Makefile and the folders of tests/ match the table of test layers?"""

import re

from worker_images.build import suites
from worker_images.files import ROOT
from worker_images.model.layers import LAYERS

MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_folder_of_tests_is_a_layer() -> None:
    folders = {
        path.relative_to(ROOT / "tests").parts[0] for path in ROOT.glob("tests/**/test_*.py")
    }
    assert {layer.name for layer in LAYERS} == folders


def test_readme_has_the_table_of_layers() -> None:
    rows = "".join(
        f"| {layer.name} | {layer.question} | `{layer.command}` | {layer.needs} |\n"
        for layer in LAYERS
    )
    assert rows in (ROOT / "README.md").read_text(), f"README.md must contain:\n{rows}"


def test_make_test_lists_the_common_layers() -> None:
    line = re.search(r"^test: setup ## run the common test layers: (.*)$", MAKEFILE, re.MULTILINE)
    assert line
    assert tuple(line[1].split(", ")) == suites.COMMON
    assert suites.COMMON != ()


def test_one_pattern_rule_runs_every_layer() -> None:
    assert re.search(r"^test-%: setup .*\n\t@\./build\.py test \$\*$", MAKEFILE, re.MULTILINE)
    assert not re.findall(r"^test-\w+:", MAKEFILE, re.MULTILINE)
