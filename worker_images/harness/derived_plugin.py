"""pytest options and fixtures for derived images: the allow file, and the list of added paths."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker_images.errors import ImageBuildError
from worker_images.harness import allow
from worker_images.harness.allow import Allowed
from worker_images.untrusted import printable

ALLOWED = pytest.StashKey[Allowed]()
LISTED = pytest.StashKey[tuple[int, Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of derived images."""
    group = parser.getgroup("worker images, derived images")
    group.addoption(
        "--allow",
        type=Path,
        metavar="FILE",
        help="a YAML file that lists exceptions to the rules for derived images",
    )
    group.addoption(
        "--listing",
        type=Path,
        metavar="FILE",
        help="write the paths that a derived image adds to this file; default: beside the JUnit"
        " file, or out/VARIANT/derived.txt",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the allow file; raises pytest.UsageError."""
    config.stash[ALLOWED] = Allowed()
    path = config.getoption("allow")
    if path and config.getoption("mode") != "derived":
        raise pytest.UsageError("--allow is for derived images; add --mode derived")
    try:
        if path:
            config.stash[ALLOWED] = allow.load(path, datetime.now(tz=UTC).date())
    except ImageBuildError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def allowed(
    pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]
) -> Iterator[Allowed]:
    """What the owner of a derived image allows; the JUnit file records what was allowed."""
    found = pytestconfig.stash[ALLOWED]
    yield found
    record_testsuite_property("allowed", json.dumps(found.as_data()))


@pytest.fixture(scope="session")
def list_paths(pytestconfig: pytest.Config) -> Callable[[list[str]], None]:
    """Write the paths that a derived image adds to the file of --listing."""

    def write(lines: list[str]) -> None:
        path = _listing(pytestconfig)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{printable(line)}\n" for line in lines)
        path.write_text(text, encoding="utf-8")
        pytestconfig.stash[LISTED] = (len(lines), path)

    return write


def _listing(config: pytest.Config) -> Path:
    if named := config.getoption("listing"):
        return Path(named)
    if report := config.getoption("xmlpath"):
        return Path(report).with_suffix(".derived.txt")
    root: Path = config.getoption("project")
    return root / "out" / str(config.getoption("variant")) / "derived.txt"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print where the added paths are listed, and what the allow file allowed."""
    if found := config.stash.get(LISTED, None):
        count, path = found
        terminalreporter.write_line(f"{count:,} added paths are listed in {path}")
    for line in config.stash[ALLOWED].lines():
        terminalreporter.write_line(printable(line))
