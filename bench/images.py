"""Bars of finished images and of commands that build nothing."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.bar import START, Bar, calibrated, in_turns, processor_seconds, seconds
from worker_images.build import recompress
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model import results

OUT = ROOT / "out/slim"
PYTEST = (sys.executable, "-m", "pytest", "-q", "--variant", "slim")


def size(_: Endpoint) -> Bar:
    """The compressed layers of slim."""
    return _size("slim", 43)


def full_size(_: Endpoint) -> Bar:
    """The compressed layers of full."""
    return _size("full", 63)


def _size(variant: str, limit: float) -> Bar:
    made = json.loads((ROOT / "out" / variant / "build.json").read_text())
    return Bar(f"{variant}, compressed", made["compressed_size"] / 1e6, limit, "MB", "limit")


def zstd_size(_: Endpoint) -> Bar:
    """The layers of slim with --compression zstd."""
    size = recompress.zstd_size(OUT / "image.tar")
    return Bar("slim, compressed with zstd", size / 1e6, 35, "MB", "limit")


def memory(endpoint: Endpoint) -> Bar:
    """The largest process of the image layer."""
    seconds([*PYTEST, "tests/image"], endpoint.environment)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    return Bar("memory of the tests", largest, 200, "MB", "limit")


def compat(_: Endpoint) -> Bar:
    """Which releases serve a driver: the whole command, which waits for nothing."""
    return _answered("build.py compat", "compat", "--driver", "580.159.04")


def plan(_: Endpoint) -> Bar:
    """What would be built: the whole command, which waits for nothing."""
    return _answered("build.py --print plan", "--variant", "slim", "--print", "plan")


def _answered(name: str, *words: str) -> Bar:
    taken, start = in_turns(["./build.py", *words], START, timer=processor_seconds)
    limit, against = calibrated(0.3, start)
    return Bar(name, taken, limit, "s", against)


def no_op(endpoint: Endpoint) -> Bar:
    """Nothing changed: build.py, which also knows that the image passed, and buildx, all cached."""
    ours = [sys.executable, "build.py", "--variant", "slim"]
    seconds([*ours, "--print", "bake"], endpoint.environment)
    context = OUT / "bake/context"
    peer = [*endpoint.buildx, "build", "--quiet", "--provenance=false", "--tag", "bench:no-op"]
    peer += ["--secret", "id=ca,src=/etc/ssl/certs/ca-certificates.crt"]
    peer += ["--file", str(context / "slim/Dockerfile.worker"), str(context)]
    taken, theirs = in_turns(ours, peer, environment=endpoint.environment)
    seconds([endpoint.docker, "rmi", "bench:no-op"], endpoint.environment)
    return Bar("no-op build", taken, theirs, "s", "docker buildx build of the same text, warm")


def checks(endpoint: Endpoint) -> Bar:
    """The same 20 checks of the same image, through the open shell and through stock testinfra."""
    names = (ROOT / "bench/checks.txt").read_text().split()
    assert len(names) == 20
    rounds = [
        [_check_seconds(names, backend, endpoint) for backend in ("dockersh", "docker")]
        for _ in range(3)
    ]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    return Bar("20 checks", ours, theirs / 4, "s", "a quarter of stock testinfra's")


def _check_seconds(names: list[str], backend: str, endpoint: Endpoint) -> float:
    """The seconds of the checks' own calls.

    To read the archive and to start the container costs both sides the same.
    """
    report = OUT / f"bench-{backend}.xml"
    path = os.environ["PATH"]
    if "/" in endpoint.docker:
        path = os.pathsep.join([str(Path(endpoint.docker).parent), path])
    command = [*PYTEST, *names, "--backend", backend, "--junit-xml", str(report)]
    command += ["--override-ini", "junit_duration_report=call"]
    seconds(command, {**endpoint.environment, "PATH": path})
    found = results.read(report).checks
    assert len(found) == len(names)
    return sum(check.seconds for check in found)


def suite(endpoint: Endpoint) -> Bar:
    """The image layer of both variants, after the build."""
    (start,) = in_turns(START, timer=processor_seconds)
    limit, against = calibrated(20, start)
    taken = seconds([sys.executable, "build.py", "test", "image"], endpoint.environment)
    return Bar("image layer, both", taken, limit, "s", against)


def sandbox(_: Endpoint) -> Bar:
    """A sandbox in the image's unpacked root and by its runsc alone, in turns.

    The workload layer reports all that needs a GPU.
    """
    command = [sys.executable, "-m", "worker_images.node", "workload", "--variant", "slim"]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--benchmark", "--results", folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        rows = json.loads((Path(folder) / "benchmark.json").read_text())["metrics"]
    row = next(each for each in rows if each["metric"]["key"] == "start_s")
    return Bar("start of a sandbox", row["sandbox"], 1.3 * row["node"], "s", "1.3 x bare runsc's")
