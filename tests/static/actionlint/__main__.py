"""Run actionlint, compiled from the Go module that go.mod and go.sum pin."""

import os
import sys
from pathlib import Path

from worker_images import console
from worker_images.build.go_programs import Parts, Program
from worker_images.files import ROOT

PROGRAM = Program("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", Path(__file__).parent)

if __name__ == "__main__":
    path = PROGRAM.compiled(Parts.of(ROOT), console.print_progress)
    os.execv(path, [str(path), *sys.argv[1:]])  # noqa: S606 - no shell is needed
