"""Machines, hosts, sums and engines: what is refused before any work, each with its way out."""

from dataclasses import replace

import pytest

from worker_images.build import machine
from worker_images.errors import EngineError
from worker_images.model import pins

HERE = machine.Machine("x86_64", debian=True, root=True)


def test_an_amd64_debian_machine_is_accepted() -> None:
    assert machine.check(HERE, "packages", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("fault", "source", "way_out"),
    [
        (
            replace(HERE, architecture="aarch64"),
            "packages",
            "on an amd64 machine run: ./build.py --variant slim",
        ),
        (replace(HERE, debian=False), "packages", "./build.py --variant slim --source upstream"),
    ],
)
def test_a_machine_that_cannot_is_told_the_way_out(
    fault: machine.Machine, source: pins.Source, way_out: str
) -> None:
    with pytest.raises(EngineError, match=way_out):
        machine.check(fault, source, "slim")


def test_upstream_needs_no_debian() -> None:
    assert machine.check(replace(HERE, debian=False), "upstream", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("fault", "way_out"),
    [
        (replace(HERE, root=False), "run the same command with sudo"),
        (replace(HERE, debian=False), "--source upstream"),
    ],
)
def test_an_engine_that_cannot_start(fault: machine.Machine, way_out: str) -> None:
    with pytest.raises(EngineError, match=way_out):
        machine.check_engine_can_start(fault)
