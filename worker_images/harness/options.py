"""pytest options that all layers share, what each report records, and checks that cannot run here.

This module needs pytest alone, because it travels with the GPU kit.
"""

import errno
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from worker_images.files import ROOT
from worker_images.model import suite
from worker_images.model.built import built_here
from worker_images.model.results import NOT_RUN_PREFIX

LAYERS = ("image", "ledger", "workload", "gpus", "engines", "pod", "sandboxes")
# Records what a check saw.
Seen = Callable[[str], None]
COLLECTED = pytest.StashKey[set[str]]()
# Options of pytest that select some checks of a layer.
SELECTING = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob")
# The exit code of a run that an error of the machine ended.
MACHINE = 4
FULL = {errno.ENOSPC, errno.EDQUOT}
LIMITED = {
    errno.EFBIG,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EIO,
    errno.EROFS,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that all layers share."""
    group = parser.getgroup("worker images")
    group.addoption("--variant", help="the variant of the image")
    group.addoption(
        "--project",
        type=Path,
        default=ROOT,
        metavar="DIR",
        help="the project that the image belongs to; default: the checkout",
    )
    group.addoption(
        "--image",
        metavar="REF|FILE",
        help="an image in the engine, or an image archive; default: out/VARIANT/image.tar",
    )
    group.addoption(
        "--require",
        action="append",
        default=[],
        choices=LAYERS,
        help="fail the checks of this layer that cannot run on this machine; may be repeated",
    )
    group.addoption(
        "--driver",
        action="append",
        default=[],
        metavar="VERSION",
        help="an NVIDIA driver that the image must serve; may be repeated",
    )
    group.addoption(
        "--trust",
        action="store_true",
        help="run checks that need more privileges; only for images that you trust",
    )
    _add_workload_options(parser)
    _add_pod_options(parser)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Record each collected check, so that one which does not run later is noticed."""
    item.config.stash.setdefault(COLLECTED, set()).add(item.nodeid)


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Seen:
    """Record what a check saw, as one line of the results."""
    return lambda text: record_property("seen", " ".join(text.split()))


def leave_out(
    config: pytest.Config, items: list[pytest.Item], others: Sequence[pytest.Item]
) -> None:
    """Deselect the checks that do not apply to the image; they do not count as collected."""
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
    config.stash.setdefault(COLLECTED, set()).difference_update(item.nodeid for item in others)


@pytest.fixture(scope="session", autouse=True)
def recorded(
    pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Record the variant, the collected checks, and the suite's digest if all of it was selected.

    A release compares them with its own checkout.
    """
    checks: set[str] = pytestconfig.stash[COLLECTED]
    record_testsuite_property("checks", json.dumps(sorted(checks)))
    record_testsuite_property("variant", pytestconfig.getoption("variant") or "")
    if layer := _whole_layer(pytestconfig):
        own = pytestconfig.getoption("project")
        record_testsuite_property("suite", suite.digest(ROOT, layer, own))


def _whole_layer(config: pytest.Config) -> str:
    """The one layer of which all checks were selected; empty if only some were."""
    folders = {(config.invocation_params.dir / each).resolve() for each in config.args}
    selecting = [name for name in SELECTING if config.getoption(name, None)]
    if selecting or config.getoption("mode", "built") != "built" or len(folders) != 1:
        return ""
    (folder,) = folders
    return folder.name if folder.is_dir() and folder.parent == ROOT / "tests" else ""


def require_trust(config: pytest.Config, layer: str, root: Path, identity: str) -> None:
    """Report a check that needs more privileges as not run, unless the image is trusted.

    An image that was built here is trusted.
    """
    if not config.getoption("trust") and not built_here(root, identity):
        name = identity or "the image"
        fix = "add --trust to run checks that need more privileges"
        not_run(config, layer, f"{name} was not built here; {fix}")


def _add_workload_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("worker images, the workload layer")
    places = ("unpacked", "engine", "pod")
    group.addoption(
        "--place",
        default="unpacked",
        choices=places,
        help="where the image's runsc runs; default: %(default)s, the image's root on this machine",
    )
    group.addoption(
        "--python",
        default=shutil.which("python3"),
        help="the user's Python interpreter; some checks need torch; default: python3 on PATH",
    )
    group.addoption(
        "--other-runsc",
        type=Path,
        help="an older runsc that does not serve the node's driver, for the negative controls",
    )


def _add_pod_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("worker images, the pod layer")
    group.addoption("--context", metavar="CTX", help="the kubectl context of the pod's cluster")
    for name, default, text in (
        ("namespace", "default", "the pod's namespace"),
        ("pod", "worker", "the pod, or what creates it, such as deployment/worker"),
        ("container", "", "the container; default: the one that requests a GPU"),
        ("kubectl", "kubectl", "the kubectl program"),
        ("kubeconfig", "", "the file with the context; default: kubectl's own"),
    ):
        shown = f"{text}; default: {default}" if default else text
        group.addoption(f"--{name}", default=default, help=shown)
    group.addoption(
        "--stand-in",
        action="store_true",
        help="the pod's devices have no driver behind them, as in the cluster of make cluster",
    )


def not_run(config: pytest.Config, layer: str, reason: str) -> NoReturn:
    """Report a check as not run, with the reason, or as failed if its layer is required."""
    if layer in config.getoption("require"):
        pytest.fail(f"required by --require {layer}, but not run: {reason}")
    pytest.skip(f"{NOT_RUN_PREFIX}{reason}")


def _machine_limit(error: BaseException) -> str:
    """The limit of the machine that an error is about, in one sentence; empty for others."""
    if isinstance(error, OSError) and error.errno in FULL:
        place = error.filename or tempfile.gettempdir()
        fix = "layers are unpacked there; set TMPDIR to a folder with 2 GB free"
        return f"{place}: {error.strerror}; {fix}"
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in LIMITED):
        return f"a limit of this machine: {error!r}; check ulimit -a, memory and disk space"
    return ""


def pytest_exception_interact(
    call: pytest.CallInfo[None], report: pytest.TestReport | pytest.CollectReport
) -> None:
    """End the run on a full disk or another limit of the machine, and name only the limit."""
    if call.excinfo and (limit := _machine_limit(call.excinfo.value)):
        report.longrepr = limit
        pytest.exit(limit, returncode=MACHINE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each reason why checks did not run."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])]
    for reason, count in Counter(skipped).items():
        terminalreporter.write_line(
            f"{reason.removeprefix('Skipped: ')} ({count} {'check' if count == 1 else 'checks'})"
        )
