"""kustomize, compiled at the version that kubectl 1.35 has inside."""

import functools
import subprocess
import sys
from pathlib import Path

from worker_images.build.go_programs import Parts, Program
from worker_images.files import ROOT

# Without optimization the compiler takes two thirds of the time.
PROGRAM = Program(
    "kustomize",
    "sigs.k8s.io/kustomize/kustomize/v5",
    ROOT / "tests/static/kustomize",
    ("-gcflags=all=-N -l", "-ldflags=-s -w"),
)


@functools.cache
def _program() -> Path:
    return PROGRAM.compiled(Parts.of(ROOT), _print)


@functools.cache
def build(folder: Path) -> str:
    """Return the manifests of a kustomization; raises CalledProcessError."""
    command = [str(_program()), "build", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _print(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - compiling takes half a minute
