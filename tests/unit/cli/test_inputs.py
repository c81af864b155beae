"""The command lock, for pins other than those of the checkout."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import resolve
from worker_images.build.published import File
from worker_images.cli import inputs
from worker_images.errors import UsageError
from worker_images.model.lock import Lock
from worker_images.model.project import Project


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pins that were resolved; the registries are not needed here."""
    found: list[Path] = []

    def write(project: Project, _: object, *, check: bool) -> tuple[str, ...]:
        found.append(project.versions)
        return (str(check),)

    monkeypatch.setattr(resolve, "write", write)
    return found


def write_pins(checkout: Path, old: str, new: str) -> Path:
    """Write pins beside those of a checkout, with one other value."""
    path = checkout / "other.yaml"
    text, count = re.subn(
        f'({old}: )"[^"]*"', rf'\1"{new}"', (checkout / "versions.yaml").read_text()
    )
    assert count == 1
    path.write_text(text)
    return path


RUNC = (r"depName=opencontainers/runc\n +version", "v1.0.0")
GO = (r"depName=go\n +toolchain", "1.26.0")
MIRROR = ("mirror", "http://mirror.example/debian")


@pytest.mark.parametrize(
    ("pins", "components"),
    [(RUNC, ["runc"]), (GO, ["gvisor", "nvidia-container-toolkit", "runc"])],
)
def test_lock_of_other_modules_is_refused(
    pins: tuple[str, str], components: list[str], checkout: Path, resolved: list[Path]
) -> None:
    path = write_pins(checkout, *pins)
    with pytest.raises(UsageError) as caught:
        inputs.lock([f"--versions={path}"], checkout, print)
    files = ", ".join(f"images/components/{name}/go.mod" for name in components)
    assert str(caught.value).startswith(
        f"lock: --versions {path}: would change {files}, which belongs to versions.yaml; "
    )
    assert resolved == []


def test_lock_of_other_pins_with_the_same_modules_is_written(
    checkout: Path, resolved: list[Path]
) -> None:
    path = write_pins(checkout, *MIRROR)
    assert inputs.lock([f"--versions={path}"], checkout, print) == "False"
    assert resolved == [path]


def test_lock_of_the_checkouts_own_modules_is_written(checkout: Path, resolved: list[Path]) -> None:
    own = checkout / "versions.yaml"
    own.write_text(write_pins(checkout, *RUNC).read_text())
    assert inputs.lock([], checkout, print) == "False"
    assert inputs.lock([f"--versions={checkout}/images/../versions.yaml"], checkout, print)
    assert len(resolved) == 2


def test_check_of_other_modules_is_not_refused(checkout: Path, resolved: list[Path]) -> None:
    path = write_pins(checkout, *RUNC)
    assert inputs.lock([f"--versions={path}", "--check"], checkout, print) == "True"
    assert resolved == [path]


def test_fetch_brings_published_files_if_upstream_is_the_source(
    project: Project, locked: Lock
) -> None:
    pins = project.pins.model_copy(update={"source": "upstream"})
    for loaded, count in ((project, 0), (replace(project, pins=pins), 3)):
        found = inputs._all_inputs(loaded, locked)  # noqa: SLF001 - what the command copies
        assert len([each for each in found if isinstance(each, File)]) == count
