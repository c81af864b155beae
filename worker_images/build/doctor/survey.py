"""Gather the facts of this machine, with all probes in parallel and a time limit.

Starts, installs and writes nothing.
"""

import argparse
import json
import os
import platform
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from worker_images.build import jobs, machine, requirements
from worker_images.build.doctor import cluster, doctor
from worker_images.build.doctor.doctor import Facts, Probe
from worker_images.build.tars import Progress
from worker_images.engine import buildx
from worker_images.engine.builder import find
from worker_images.engine.endpoint import PrivateEngine, check_space, free_space
from worker_images.errors import ClientError, EngineError, FetchError, ImageBuildError, MachineError
from worker_images.fetch import apt, reach
from worker_images.files import ENGINE, check_cache
from worker_images.model import kernel_settings, pins, project
from worker_images.model.drivers.kernel import version_of
from worker_images.model.drivers.table import COMPONENT
from worker_images.model.project import Project

GO_PROXY = "https://proxy.golang.org"
PYTHON_INDEX = "https://pypi.org/simple"
TIMED_OUT = Probe(
    error=f"no answer in {reach.DEADLINE_SECONDS} s; check the network, proxies and DOCKER_HOST"
)


def command(argv: list[str], root: Path, _: Progress) -> str:
    """Check this machine and return the rows.

    Raises MachineError, which carries the rows, if one is a fault.
    """
    parser = argparse.ArgumentParser(
        prog="build.py doctor",
        description="Check this machine and print a fix for each fault. Changes nothing.",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    as_json = parser.parse_args(argv).json
    rows = doctor.rows(gather(root))
    text = (
        json.dumps([asdict(row) for row in rows], indent=1)
        if as_json
        else "\n".join(map(str, rows))
    )
    faults = ", ".join(row.subject for row in rows if row.state == "fault")
    if faults:
        raise MachineError(
            f"this machine is not ready: {faults}; apply the listed fixes and run again", text
        )
    return text


def gather(root: Path) -> Facts:
    """Run all probes; raises DocumentError if versions.yaml is invalid."""
    loaded = project.load(root)
    pinned = loaded.pins
    probes = _probes(root, loaded)
    results = reach.run_all(
        {subject: partial(_result, probe) for subject, probe in probes.items()},
        reach.DEADLINE_SECONDS,
    )
    return Facts(
        probes={subject: results.get(subject, TIMED_OUT) for subject in probes},
        machine=machine.Machine.here(),
        capabilities=machine.capabilities(),
        proxies={
            f"{name}_proxy": address
            for name, address in reach.proxies().items()
            if name in {"http", "https"}
        },
        kernel=kernel_settings.values(),
        driver=driver(),
        devices=tuple(path.name for path in Path("/dev").glob("nvidia*")),
        release=pinned.components[COMPONENT].version,
        releases=loaded.table,
        cluster=tuple(cluster.faults(cluster.Facts.here())),
        layers_copied_on=layers_copied_on(loaded.checkout, ENGINE),
    )


def driver(file: str = "/proc/driver/nvidia/version") -> str:
    """Return the version of the loaded NVIDIA driver, open or proprietary; empty without one."""
    return version_of(Path(file))


def layers_copied_on(root: Path, state: Path) -> str:
    """Return the file system on which an engine with this state folder would copy layers.

    Empty if a test mount shows that it would share them, or if the mount is not allowed.
    """
    folder = str(next(path for path in (state, *state.parents) if os.access(path, os.X_OK)))
    result = subprocess.run(
        [str(root / "scripts" / "engine"), "layers", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode or result.stdout.strip() != "native":
        return ""
    return subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False
    ).stdout.strip()


def _probes(root: Path, loaded: Project) -> dict[str, Callable[[], str]]:
    pinned, suite = loaded.pins, loaded.pins.debian
    gvisor = requirements.request(loaded)[f"modules.{COMPONENT}"]
    module, version, *_ = gvisor.split()
    proxy = re.split("[,|]", os.environ.get("GOPROXY") or GO_PROXY)[0]
    return {
        "python": partial(check_environment, loaded.checkout),
        "debian tools": partial(check_tools, pinned.source),
        "disk": partial(check_disk, root),
        "engine": partial(check_engine, loaded.checkout),
        "certificates": check_certificates,
        "debian mirror": partial(
            check_reachable,
            f"{suite.mirror}/dists/{suite.suite}/InRelease",
            "set another apt.mirror in versions.yaml",
        ),
        "go proxy": partial(
            check_reachable,
            f"{_without_credentials(proxy)}/{module}/@v/{version}.info",
            "set GOPROXY to a proxy that has it",
        ),
        "python index": lambda: check_reachable(
            f"{_without_credentials(_pip_index())}/pip/",
            "set PIP_INDEX_URL to an index that answers",
        ),
    }


def _result(probe: Callable[[], str]) -> Probe:
    try:
        return Probe(probe())
    except ImageBuildError as error:
        return Probe(error=str(error))
    except OSError as error:
        fix = "give this user access, or set XDG_CACHE_HOME to a folder you own"
        return Probe(error=f"{error.filename or 'the machine'}: {error.strerror or error}; {fix}")


def check_environment(root: Path) -> str:
    """Return the Python version; raises EngineError if .venv does not match requirements.txt."""
    stamp = root / ".venv" / "requirements.txt.sha256"
    if not stamp.is_file() or stamp.read_text().strip() != apt.sha256(root / "requirements.txt"):
        raise EngineError(".venv does not match requirements.txt; run: make setup")
    return f"{platform.python_version()}, .venv matches requirements.txt"


def check_tools(source: pins.Source) -> str:
    """Raise EngineError if this machine lacks a tool that a source needs."""
    machine.check(machine.Machine.here(), source, "slim")
    if source == "packages" and not apt.KEYRING.exists():
        raise EngineError(f"{apt.KEYRING} is missing; run: apt-get install debian-archive-keyring")
    return f"--source {source}: all tools are installed"


def check_disk(root: Path) -> str:
    """Return the free space of the folders that a build writes; raises EngineError."""
    check_cache()
    folders = jobs.folders(root / "out")
    check_space(folders, jobs.NEEDED_BYTES)
    return ", ".join(
        f"{free_space(folder) / 1e9:.0f} GB free for {purpose}"
        for purpose, folder in folders.items()
    )


def check_engine(root: Path) -> str:
    """Return the engine that a build would use, empty without one; raises EngineError."""
    private = PrivateEngine(root)
    try:
        found = find(private)
    except ClientError:
        return "running; a build downloads a docker command for it"
    if not found:
        return ""
    kind = "private " if found.endpoint.host == private.host else ""
    return "; ".join([f"{kind}{found.endpoint.host}: {found}", *found.warnings])


def check_certificates() -> str:
    """Return the CA bundle that a build would use; raises EngineError."""
    try:
        count = ssl.create_default_context(cafile=buildx.CERTIFICATES).cert_store_stats()["x509_ca"]
    except OSError as error:
        fix = (
            "run: apt-get install ca-certificates, or set SSL_CERT_FILE to a file of PEM"
            " certificates"
        )
        raise EngineError(f"{buildx.CERTIFICATES}: {error.strerror or error}; {fix}") from error
    return f"{count} CA certificates in {buildx.CERTIFICATES}"


def check_reachable(address: str, alternative: str) -> str:
    """Return the host of an address; raises FetchError if it does not answer."""
    if fault := reach.fault(address):
        raise FetchError(f"{fault}; check the network, proxies and CA, or {alternative}")
    return f"{urlsplit(address).netloc} answers"


def _without_credentials(address: str) -> str:
    """Return an address without user and password."""
    return re.sub(r"//.*@", "//", address).rstrip("/")


def _pip_index() -> str:
    """Return the index that pip uses.

    `pip config list` sorts settings by precedence, so the first match applies.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"^(?::env:|download|global)\.index-url='(.+)'$", listed, re.MULTILINE)
    return found[1] if found else PYTHON_INDEX
