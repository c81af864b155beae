"""A stand-in for the internet: a network namespace with the hosts that builds from upstream use."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.upstream import hosts, signing, web
from worker_images.files import ROOT

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
NAMESPACES = ("--net", "--mount", "--propagation", "private")
START_SECONDS = 30
EMPTY: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True)
class Internet:
    """A running stand-in: its process, its folder, and the cache folder of commands in it."""

    pid: int
    folder: Path

    @property
    def cache(self) -> Path:
        """What commands inside use as XDG_CACHE_HOME."""
        return self.folder / "cache"

    @property
    def engine(self) -> Path:
        """The state of the engine inside."""
        return self.cache / "worker-images/engine"

    def command(self, *words: str | Path, folder: Path = ROOT) -> list[str]:
        """The line that runs a command inside."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", f"--wd={folder}", "--"]
        return [*enter, *map(str, words)]

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of commands inside: their own cache, home and engine, and no proxy."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "XDG_CACHE_HOME": str(self.cache),
            "DOCKER_HOST": f"unix://{self.engine}/docker.sock",
            # pip's settings of a machine that has wheels in a folder
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.folder / "wheels"),
            **settings,
        }

    def run(
        self, *words: str | Path, folder: Path = ROOT, **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside; return its exit status and what it printed."""
        return subprocess.run(
            self.command(*words, folder=folder),
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    @contextlib.contextmanager
    def faults(self, *rows: Mapping[str, object]) -> Iterator[None]:
        """Answer requests with faults in the block."""
        _write_faults(self.folder, rows)
        try:
            yield
        finally:
            _write_faults(self.folder, EMPTY)

    def give_engine(self, root: Path) -> None:
        """Give commands inside the root filesystem of the private engine, which they start."""
        own = self.engine / "root"
        own.parent.mkdir(parents=True)
        subprocess.run(["cp", "--archive", "--link", str(root), str(own)], check=True)
        # The engine writes these; the links lead to the files of the other engine.
        for path in ("etc/resolv.conf", "etc/hosts", BUNDLE.strip("/")):
            (own / path).unlink(missing_ok=True)

    def requests(self) -> list[str]:
        """The requests and names that were received, one a line."""
        return (self.folder / "requests.log").read_text().splitlines()


def _write_faults(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    part = folder / "faults.part"
    part.write_text(json.dumps(list(rows)))
    part.replace(folder / "faults.json")


@contextlib.contextmanager
def running(sites: Path, folder: Path, tools: Path) -> Iterator[Internet]:
    """Run the hosts with their files in a namespace without a route to anything else.

    `tools` is a root filesystem with the program ip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signing.certificates(folder / "certificates", hosts.NAMES, expired=hosts.BUCKET)
    (folder / "requests.log").touch()
    (folder / "wheels").symlink_to(sites / "wheels")
    _write_faults(folder, EMPTY)
    command = ["unshare", *NAMESPACES, sys.executable, "-m", "tests.upstream.internet"]
    command += ["serve", str(sites), str(folder), str(tools)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        internet = Internet(process.pid, folder)
        try:
            _wait_for(folder / "ready", process)
            yield internet
        finally:
            internet.run(ROOT / "scripts/engine", "stop", internet.engine)
            process.send_signal(signal.SIGTERM)


def _wait_for(file: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while not file.exists():
        running = process.poll() is None and time.monotonic() < deadline
        assert running, "the hosts did not start"
        time.sleep(0.05)


def serve(sites: Path, folder: Path, tools: Path) -> None:
    """Set up the namespaces of this process, and answer as the hosts until it is ended."""
    for command in _network():
        subprocess.run(["chroot", str(tools), *command], check=True)
    etc = {
        "/etc/resolv.conf": f"nameserver {hosts.NAMESERVER}\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
        BUNDLE: (folder / "certificates/ca.pem").read_text(),
    }
    for path, text in etc.items():
        own = folder / Path(path).name
        own.write_text(text)
        subprocess.run(["mount", "--bind", str(own), path], check=True)
    state = web.State(sites, folder)
    web.serve(state)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind((hosts.NAMESERVER, 53))
        (folder / "ready").touch()
        web.answer_names(state, channel)


def _network() -> Iterator[list[str]]:
    yield ["ip", "link", "set", "lo", "up"]
    for address in (hosts.NAMESERVER, *hosts.ADDRESSES.values()):
        yield ["ip", "address", "add", f"{address}/32", "dev", "lo"]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*map(Path, sys.argv[2:]))
