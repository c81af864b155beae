"""Bars of builds: cold, of another gVisor, and on a bare machine."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.bar import START, Bar, calibrated, in_turns, processor_seconds, seconds
from worker_images.engine.endpoint import Endpoint
from worker_images.files import CACHE, ROOT

BUMP = {
    "v0.0.0-20260701204157-69c2d17aea96": "v0.0.0-20260518063529-209a0ce076a1",
    "20260622.0-46-g879cb2dc2": "20260511.0-34-g8bcb288c8",
    '"20260622.0"': '"20260511.0"',
    # That release does not serve it; nothing of this build meets a node.
    'drivers: ["535.129.03", "580.159.04"]': (
        'drivers: ["535.129.03", "580.159.04"]\n'
        '  allow_unserved: [{driver: "580.159.04", reason: "a build that is only timed"}]'
    ),
}


def bump(endpoint: Endpoint) -> Bar:
    """Another gVisor, from the edit to an image in the engine, against its own compile step."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        pins = clone / "versions.yaml"
        text = pins.read_text()
        for old, new in BUMP.items():
            assert old in text, f"{old} is not pinned; change bench/builds.py"
            text = text.replace(old, new)
        pins.write_text(text)
        build = [sys.executable, str(clone / "build.py")]
        seconds([*build, "lock"], endpoint.environment)
        taken = seconds(
            [*build, "--variant", "slim", "--no-test", "--no-cache"], endpoint.environment
        )
        log = (clone / "out/slim/build.log").read_text()
    step = re.search(r"^#([0-9]+) \[gvisor .*go build", log, re.MULTILINE)
    assert step
    compiled = re.search(rf"^#{step[1]} DONE ([0-9.]+)s", log, re.MULTILINE)
    assert compiled
    limit = float(compiled[1]) + 15
    return Bar("another gVisor", taken, limit, "s", "its compile step + 15 s")


def shared(endpoint: Endpoint) -> Bar:
    """Both variants at once, from nothing, against slim alone from nothing."""
    taken, slim = _cold(endpoint, "all"), _cold(endpoint, "slim")
    return Bar("all, cold", taken, 1.85 * slim, "s", "1.85 x slim alone")


def bake(endpoint: Endpoint) -> Bar:
    """Both variants at once, from nothing, against docker buildx bake in the same run: its file is
    written just before it begins.
    """
    taken = _cold(endpoint, "all")
    file, log = (ROOT / "out/all" / name for name in ("build.bake.json", "build.log"))
    theirs = log.stat().st_mtime - file.stat().st_mtime
    return Bar("all, cold", taken, 1.05 * theirs, "s", "1.05 x its docker buildx bake")


def _cold(endpoint: Endpoint, variant: str) -> float:
    """Wall time of a build with an engine that runs and knows nothing: no layer, no module, no root
    of Debian packages.
    """
    seconds([endpoint.docker, "builder", "prune", "--all", "--force"], endpoint.environment)
    shutil.rmtree(CACHE / "roots", ignore_errors=True)
    command = [sys.executable, "build.py", "--variant", variant, "--no-test", "--no-cache"]
    return seconds(command, endpoint.environment)


def bare(_: Endpoint) -> Bar:
    """A bare Debian that holds only python3, git and make: clone, make slim."""
    if not shutil.which("mmdebstrap"):
        subprocess.run([str(ROOT / "scripts/setup"), "bench"], check=True)
    (start,) = in_turns(START, timer=processor_seconds)
    limit, against = calibrated(300, start)
    result = subprocess.run(
        [str(ROOT / "bench/bare"), str(ROOT)], capture_output=True, text=True, check=False
    )
    taken = re.search(r"^bare: ([0-9]+) s$", result.stdout, re.MULTILINE)
    assert taken, result.stdout[-2000:] + result.stderr[-2000:]
    return Bar("slim, bare machine", float(taken[1]), limit, "s", against)
