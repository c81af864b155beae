"""Fixtures: a registry of one test module, with a password, and a key."""

import base64
import json
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support import docker_registry
from tests.support.docker_registry import PASSWORD, USER
from worker_images.build import record, requirements
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.release import cosign, tools

HEAD = ("| test | commit | result | seen |", "| --- | --- | --- | --- |")
ROWS: pytest.StashKey[list[tuple[str, str, str]]] = pytest.StashKey()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the registry's data."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def settings() -> Iterator[pytest.MonkeyPatch]:
    """Variables of the environment that last as long as the module."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def registry_address(
    data: Path, settings: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of Debian's registry with a password, which Docker's configuration holds."""
    program = docker_registry.program(tmp_path_factory.mktemp("program"))
    needs_password = docker_registry.Settings(password=True)
    with docker_registry.running(program, data, needs_password) as address:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        folder = tmp_path_factory.mktemp("docker")
        (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": login}}}))
        settings.setenv("DOCKER_CONFIG", str(folder))
        yield address


@pytest.fixture(scope="module")
def key(settings: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair: this path with .key and .pub."""
    settings.setenv("COSIGN_PASSWORD", "a password of the tests")
    loaded = project.read(ROOT)
    programs = tools.ensure(loaded, requirements.load(loaded), lambda _: None)
    path = tmp_path_factory.mktemp("key") / "release"
    cosign.make_key(programs, path)
    return path


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what the tests saw to out/tests/torture.md, for docs/proof/torture.md.

    Rows of tests that did not run now stay, with their commit.
    """
    path = ROOT / "out/tests/torture.md"
    commit = record.revision(ROOT)
    rows = {
        name: f"| {name} | {commit[:12]} | {outcome} | {seen} |"
        for name, outcome, seen in session.config.stash.get(ROWS, [])
    }
    earlier = path.read_text().splitlines()[len(HEAD) :] if path.exists() else []
    kept = {line.split(" | ")[0].removeprefix("| "): line for line in earlier}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*HEAD, *dict(sorted((kept | rows).items())).values()]) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a test recorded with record_property("seen", ...)."""
    report = yield
    if report.when == "call":
        seen = str(dict(report.user_properties).get("seen", ""))
        item.config.stash.setdefault(ROWS, []).append((item.name, report.outcome, seen))
    return report
