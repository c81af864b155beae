"""The stand-in internet with an engine, and a checkout whose pins are those of the stand-ins.

`python -m tests.upstream.stand_in COMMAND...` runs a command there, in the checkout, such as
./build.py --variant slim --source upstream.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.upstream import checkout, internet, sites
from tests.upstream.internet import Internet
from tests.upstream.sites import Digests
from worker_images.build import provision
from worker_images.build.go_programs import Parts
from worker_images.build.record import exclusive
from worker_images.engine.endpoint import PrivateEngine
from worker_images.files import CACHE, ROOT

# Short, because it holds the engine's socket.
RUN = CACHE / "upstream/run"


@dataclass(frozen=True)
class StandIn:
    """A running stand-in internet, and the digests of what its hosts publish."""

    internet: Internet
    digests: Digests

    def checkout(self, name: str) -> Path:
        """A new checkout with the pins of the stand-ins."""
        return checkout.copy(self.internet.folder / name, self.digests)

    def build(
        self, folder: Path, *options: str, **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Build from upstream in a checkout."""
        command = [sys.executable, "build.py", "--source", "upstream", *options]
        return self.internet.run(*command, folder=folder, **settings)

    def docker(self, *words: str) -> str:
        """Run the docker command of the engine; return what it printed."""
        done = self.internet.run(self.internet.engine / "bin/docker", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def started(progress: Callable[[str], None]) -> Iterator[StandIn]:
    """Start the stand-in; at the end, its engine and all files of the run are removed."""
    parts, private = Parts.of(ROOT), PrivateEngine(ROOT)
    provision.make_root(private, parts.project, parts.locked, parts.store, progress)
    made = sites.made(parts, progress)
    with exclusive(RUN.parent / "runs", progress):
        shutil.rmtree(RUN, ignore_errors=True)
        try:
            with internet.running(made.folder, RUN, private.root) as running:
                running.give_engine(private.root)
                engine = running.run(sys.executable, "build.py", "engine", "start")
                assert engine.returncode == 0, engine.stderr
                yield StandIn(running, made.digests)
        finally:
            shutil.rmtree(RUN, ignore_errors=True)


def _show(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> None:
    """Run the command of the command line in the stand-in."""
    with started(_show) as found:
        inside = found.internet.command(*sys.argv[1:], folder=found.checkout("checkout"))
        status = subprocess.run(inside, env=found.internet.environment(), check=False).returncode
    os._exit(status)


if __name__ == "__main__":
    main()
