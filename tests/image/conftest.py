"""The judged image as its archive tells it, and as one open shell in a container of it shows it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from imagetest import archive, shell
from imagetest.image import Image
from imagetest.plugin import ROOT, UNPRIVILEGED, Case, Subject, told


@pytest.fixture(scope="session")
def image(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Every layer and the configuration."""
    with told():
        return archive.load(subject.archive, tmp_path_factory.mktemp("layers"))


def _opened(container: str, backend: str) -> Iterator[Host]:
    shell.register()
    found = testinfra.get_host(f"{backend}://{container}")
    # A positive control before anything is called absent: this is a shell, and it answers.
    assert found.run("echo alive").stdout == "alive\n"
    yield found
    assert found.run("echo alive").stdout == "alive\n"
    if isinstance(found.backend, shell.ShellBackend):
        found.backend.close()


@pytest.fixture(scope="session")
def host(container: str, case: Case) -> Iterator[Host]:
    """A shell as the image's own user."""
    yield from _opened(container, case.backend)


@pytest.fixture(scope="session")
def unprivileged(container: str, case: Case) -> Iterator[Host]:
    """A shell as a user with no name and no rights."""
    yield from _opened(f"{UNPRIVILEGED}@{container}", case.backend)


@pytest.fixture(scope="session")
def release(case: Case) -> str:
    """The gVisor release that both supplies share."""
    return case.pins.components["gvisor"].version


@pytest.fixture(scope="session")
def drivers(release: str) -> list[str]:
    """The drivers that this gVisor release serves, by the table of all releases."""
    table = json.loads((ROOT / "images/components/gvisor/drivers.json").read_text())
    return list(table["releases"][release]["supported"])


@pytest.fixture(scope="session")
def runsc(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runsc of the image, copied out of its layer."""
    entry = image.find("/usr/local/bin/runsc")
    assert entry, "no /usr/local/bin/runsc in any layer"
    target = tmp_path_factory.mktemp("runsc") / "runsc"
    image.extract(entry, target)
    return target
