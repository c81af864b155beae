"""Unsuitable machines are rejected before any work, with an alternative."""

from dataclasses import replace

import pytest

from worker_images.build import machine
from worker_images.errors import EngineError
from worker_images.model import pins

HERE = machine.Machine("x86_64", debian=True, root=True)


def test_machine_is_accepted_with_amd64_and_debian() -> None:
    assert machine.check(HERE, "packages", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("unsuitable", "source", "alternative"),
    [
        (
            replace(HERE, architecture="aarch64"),
            "packages",
            "on an amd64 machine run: ./build.py --variant slim",
        ),
        (replace(HERE, debian=False), "packages", "./build.py --variant slim --source upstream"),
    ],
)
def test_machine_error_names_the_alternative_command(
    unsuitable: machine.Machine, source: pins.Source, alternative: str
) -> None:
    with pytest.raises(EngineError, match=alternative):
        machine.check(unsuitable, source, "slim")


def test_machine_without_debian_is_accepted_for_upstream() -> None:
    assert machine.check(replace(HERE, debian=False), "upstream", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("unsuitable", "alternative"),
    [
        (replace(HERE, root=False), "run the same command with sudo"),
        (replace(HERE, debian=False), "--source upstream"),
    ],
)
def test_engine_error_names_the_alternative(unsuitable: machine.Machine, alternative: str) -> None:
    with pytest.raises(EngineError, match=alternative):
        machine.check_engine_can_start(unsuitable)
