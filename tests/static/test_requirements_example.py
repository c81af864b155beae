"""Does the project with the requirements' pins load and render? Does the gate refuse its pair?"""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import documents, plan, render
from worker_images.cli import main
from worker_images.errors import PolicyError
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.model.lock import Lock
from worker_images.model.project import Project

EXAMPLE = ROOT / "examples" / "requirements"
PAGE = EXAMPLE / "README.md"
DRIVER = "535.129.03"
# The line of the exception and the lines of its entry.
EXCEPTION = re.compile(r"  allow_unserved:\n(?:    .*\n)+")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the project without the exception for its driver."""
    copy = tmp_path / "requirements"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("out", "*.lock"))
    versions = copy / "versions.yaml"
    text, count = EXCEPTION.subn("", versions.read_text())
    assert count == 1
    versions.write_text(text)
    return copy


@pytest.fixture(scope="module")
def loaded() -> Project:
    """The project as it is."""
    return project.load(EXAMPLE)


def test_pins_are_those_of_the_requirements(loaded: Project) -> None:
    assert loaded.release == "20250407.0"
    assert loaded.pins.components["cuda-runtime"].version == "12.8.0-base-ubuntu22.04"
    assert (loaded.pins.source, loaded.pins.fleet.drivers) == ("upstream", (DRIVER,))


@pytest.mark.parametrize("variant", ["slim", "full"])
def test_dockerfile_of_upstream_has_the_pins(variant: str, loaded: Project) -> None:
    """Modules are inputs of the other source, so that the lock of the checkout serves here."""
    locked = replace(Lock.read(ROOT / "versions.lock"), published=())
    text = render.dockerfile(plan.make(loaded, locked, variant), loaded.root)
    assert 'ARG GVISOR_VERSION="20250407.0"' in text
    assert 'worker.source="upstream"' in text
    assert ('ARG CUDA_BASE_TAG="12.8.0-base-ubuntu22.04"' in text) == (variant == "full")
    inputs = {each.name: each.digest for each in plan.make(loaded, locked, variant).inputs}
    (runsc,) = (digest for name, digest in inputs.items() if "/20250407.0/" in name)
    assert runsc.startswith("sha512:097259d6d935")


def test_gate_refuses_the_pair_and_the_page_quotes_it(example: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        project.load(example)
    message = str(caught.value).replace(str(example), "examples/requirements")
    quoted = PAGE.read_text().replace("./build.py --project examples/requirements ", "./build.py ")
    assert f"```text\n{message}\n```" in quoted


def test_compat_refuses_the_pair(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--project", str(EXAMPLE), "compat", "--driver", DRIVER]
    assert main.main(command, ROOT) == 7
    assert "pinned     20250407.0 does not serve 535.129.03" in capsys.readouterr().out


def test_page_shows_the_output_of_its_commands() -> None:
    text = PAGE.read_text()
    assert len(documents.BLOCK.findall(text)) == 2
    assert documents.with_output(text, ROOT) == text


def test_steps_of_the_page_serve_the_fleet(example: Path) -> None:
    """Without its own pin, the project takes the checkout's gVisor, which serves the driver."""
    versions = example / "versions.yaml"
    text, count = re.subn(r"components:\n(?:  .*\n)+", "", versions.read_text())
    assert count == 1
    versions.write_text(text)
    served = project.load(example)
    assert served.release == project.read(ROOT).release
    assert served.pins.fleet.allow_unserved == ()
