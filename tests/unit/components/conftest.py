"""gpu-checkpoint, compiled for this machine, with stand-ins of the driver's library."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.c_programs import Program, compiled
from worker_images.build.machine import AMD64, Machine
from worker_images.files import ROOT
from worker_images.harness.options import not_run

SOURCE = ROOT / "images/components/gpu-checkpoint/gpu-checkpoint.c"
STAND_IN = Path(__file__).with_name("libcuda.c")
PROGRAM = Program(SOURCE, ('-DVERSION="1.2.3"',))
SHARED = ("-shared", "-fPIC")
# The library of a current driver, of one before branch 570, and one that lacks a function.
LIBRARIES = {
    "current": Program(STAND_IN, SHARED),
    "old": Program(STAND_IN, (*SHARED, "-DOLD")),
    "without threads": Program(
        STAND_IN, (*SHARED, "-DcuCheckpointProcessGetRestoreThreadId=renamed")
    ),
}


@dataclass(frozen=True)
class Answer:
    """What the program printed, and the calls that it made of libcuda, without their process."""

    code: int
    output: str
    error: str
    calls: list[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """The names of the calls, without what all begin with."""
        return [name.removeprefix("cuCheckpointProcess") for name, _ in self.calls]


Run = Callable[..., Answer]


@pytest.fixture(scope="session")
def built(pytestconfig: pytest.Config) -> dict[str, Path]:
    """The compiled program, and each library."""
    if Machine.here().architecture not in AMD64:
        not_run(pytestconfig, "unit", "the compiler runs on amd64")
    program, *libraries = compiled(PROGRAM, *LIBRARIES.values())
    return {"program": program, **dict(zip(LIBRARIES, libraries, strict=True))}


@pytest.fixture
def run(built: dict[str, Path], tmp_path: Path) -> Run:
    """Run the program about this process, or with other arguments, and return its answer."""

    def answer(
        *arguments: str,
        library: str = "current",
        state: int = 0,
        faults: dict[str, int] | None = None,
        cuda: int = 13000,
        pid: int = os.getpid(),
    ) -> Answer:
        folder, log = tmp_path / "libraries", tmp_path / "log"
        folder.mkdir(exist_ok=True)
        log.write_text("")
        if library in LIBRARIES:
            shutil.copy(built[library], folder / "libcuda.so.1")
        about = ("--pid", str(pid)) if pid else ()
        done = subprocess.run(
            [str(built["program"]), *arguments, *about],
            env={
                "LD_LIBRARY_PATH": str(folder),
                "LOG": str(log),
                "STATE": str(state),
                "FAULTS": ",".join(f"{name}={code}" for name, code in (faults or {}).items()),
                "CUDA": str(cuda),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        rows = [line.split(" ") for line in log.read_text().splitlines()]
        assert {int(row[1]) for row in rows} <= {pid}
        calls = [(row[0], row[2]) for row in rows]
        return Answer(done.returncode, done.stdout, done.stderr, calls)

    return answer
