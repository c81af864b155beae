"""The facts of this machine, all asked at once and for a bounded time.

Nothing is started, installed or left behind.
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
from worker_images.build.doctor import doctor
from worker_images.build.doctor.doctor import Answer, Facts
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
LATE = Answer(
    refusal=f"no answer in {reach.DEADLINE_SECONDS} s; check the network, proxies and DOCKER_HOST"
)


def command(argv: list[str], root: Path, _: Progress) -> str:
    """Look at this machine and return the rows.

    Raises MachineError, which carries them, where one is a fault.
    """
    parser = argparse.ArgumentParser(
        prog="build.py doctor",
        description="What this machine lacks, with the fixes. Changes nothing.",
    )
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    as_json = parser.parse_args(argv).json
    rows = doctor.rows(gather(root))
    text = (
        json.dumps([asdict(row) for row in rows], indent=1)
        if as_json
        else "\n".join(map(str, rows))
    )
    faults = ", ".join(row.matter for row in rows if row.state == "fault")
    if faults:
        raise MachineError(
            f"this machine is not fit: {faults}; do what the rows say and run again", text
        )
    return text


def gather(root: Path) -> Facts:
    """Ask everything; raises DocumentError where versions.yaml is refused."""
    loaded = project.load(root)
    pinned = loaded.pins
    questions = _questions(root, loaded)
    answers = reach.run_all(
        {matter: partial(_answer, question) for matter, question in questions.items()},
        reach.DEADLINE_SECONDS,
    )
    return Facts(
        answers={matter: answers.get(matter, LATE) for matter in questions},
        machine=machine.Machine.here(),
        capabilities=int(_first("/proc/self/status", r"^CapEff:\s*(\w+)") or "0", 16),
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
        copying=copying(root, ENGINE),
    )


def driver(file: str = "/proc/driver/nvidia/version") -> str:
    """The version of the kernel's NVIDIA driver, open or not; empty without one."""
    return version_of(Path(file))


def copying(root: Path, state: Path) -> str:
    """The file system on which an engine with this state would copy layers, by a mount that is
    tried; empty where it shares them.
    """
    folder = str(next(path for path in (state, *state.parents) if os.access(path, os.X_OK)))
    tried = subprocess.run(
        [str(root / "scripts" / "engine"), "layers", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode or tried.stdout.strip() != "native":
        return ""
    return subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False
    ).stdout.strip()


def _first(file: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(file).read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


def _questions(root: Path, loaded: Project) -> dict[str, Callable[[], str]]:
    pinned, suite = loaded.pins, loaded.pins.debian
    gvisor = requirements.request(loaded)[f"modules.{COMPONENT}"]
    module, version = gvisor.split()
    proxy = re.split("[,|]", os.environ.get("GOPROXY") or GO_PROXY)[0]
    return {
        "python": partial(environment, root),
        "debian tools": partial(tools, pinned.source),
        "disk": partial(disk, root),
        "engine": partial(engine, root),
        "certificates": certificates,
        "debian mirror": partial(
            reached,
            f"{suite.mirror}/dists/{suite.suite}/InRelease",
            "name another apt.mirror in versions.yaml",
        ),
        "go proxy": partial(
            reached,
            f"{_bare(proxy)}/{module}/@v/{version}.info",
            "set GOPROXY to one that has it",
        ),
        "python index": lambda: reached(
            f"{_bare(_index())}/pip/", "set PIP_INDEX_URL to one that answers"
        ),
    }


def _answer(question: Callable[[], str]) -> Answer:
    try:
        return Answer(question())
    except ImageBuildError as error:
        return Answer(refusal=str(error))
    except OSError as error:
        fix = "give this user access, or set XDG_CACHE_HOME to a folder of yours"
        return Answer(
            refusal=f"{error.filename or 'the machine'}: {error.strerror or error}; {fix}"
        )


def environment(root: Path) -> str:
    """What runs this, and whether .venv holds requirements.txt; raises EngineError."""
    stamp = root / ".venv" / "requirements.txt.sha256"
    if not stamp.is_file() or stamp.read_text().strip() != apt.sha256(root / "requirements.txt"):
        raise EngineError(".venv is not what requirements.txt asks for; run: make setup")
    return f"{platform.python_version()}, .venv as requirements.txt asks for"


def tools(source: pins.Source) -> str:
    """Whether this machine has what a source needs; raises EngineError."""
    machine.check(machine.Machine.here(), source, "slim")
    if source == "packages" and not apt.KEYRING.exists():
        raise EngineError(f"no {apt.KEYRING}; run: apt-get install debian-archive-keyring")
    return f"--source {source}: all tools are installed"


def disk(root: Path) -> str:
    """What is free where a build writes; raises EngineError."""
    check_cache()
    folders = jobs.folders(root / "out")
    check_space(folders, jobs.NEEDED_BYTES)
    return ", ".join(
        f"{free_space(folder) / 1e9:.0f} GB free for {purpose}"
        for purpose, folder in folders.items()
    )


def engine(root: Path) -> str:
    """The engine that a build would use, empty without one; raises EngineError."""
    private = PrivateEngine(root)
    try:
        found = find(private)
    except ClientError:
        return "one answers, and a build fetches a docker command for it"
    if not found:
        return ""
    kind = "private " if found.endpoint.host == private.host else ""
    return "; ".join([f"{kind}{found.endpoint.host}: {found}", *found.warnings])


def certificates() -> str:
    """The CA bundle that a build would use; raises EngineError."""
    try:
        count = ssl.create_default_context(cafile=buildx.CERTIFICATES).cert_store_stats()["x509_ca"]
    except OSError as error:
        fix = (
            "run: apt-get install ca-certificates, or point SSL_CERT_FILE at a file of PEM"
            " certificates"
        )
        raise EngineError(f"{buildx.CERTIFICATES}: {error.strerror or error}; {fix}") from error
    return f"{count} in {buildx.CERTIFICATES}"


def reached(address: str, otherwise: str) -> str:
    """The host of an address that answers; raises FetchError."""
    if fault := reach.fault(address):
        raise FetchError(f"{fault}; check the network, proxies and CA, or {otherwise}")
    return f"{urlsplit(address).netloc} answers"


def _bare(address: str) -> str:
    """Without user and password."""
    return re.sub(r"//.*@", "//", address).rstrip("/")


def _index() -> str:
    """The index that pip asks by its variables and files: the first row of those that it sorts by
    precedence.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"^(?::env:|download|global)\.index-url='(.+)'$", listed, re.MULTILINE)
    return found[1] if found else PYTHON_INDEX
