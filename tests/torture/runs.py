"""Commands that are killed at random moments."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker_images.files import ROOT

# A report names it, so that a failure can be repeated.
SEED = int(os.environ.get("TORTURE_SEED", "20261126"))
ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "50"))
RANDOM = random.Random(SEED)  # noqa: S311 - moments, not secrets


def run(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, root: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run build.py to its end."""
    return subprocess.run(
        [sys.executable, str(root / "build.py"), *arguments],
        cwd=root,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def seconds(arguments: Sequence[str]) -> float:
    """The time that a whole run takes."""
    begun = time.monotonic()
    done = run(arguments)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


def killed(arguments: Sequence[str], longest: float) -> bool:
    """Run build.py and kill it and its children at a random moment.

    Returns whether it was still running.
    """
    with subprocess.Popen(
        [sys.executable, str(ROOT / "build.py"), *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(RANDOM.uniform(0, longest))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True
    return False


def tags(data: Path, name: str) -> list[str]:
    """The tags of a repository for users, from the registry's files."""
    folder = data / "data/docker/registry/v2/repositories" / name / "_manifests/tags"
    found = folder.iterdir() if folder.exists() else ()
    # The others name the attestations of an index.
    return sorted(path.name for path in found if not path.name.startswith("sha256-"))
