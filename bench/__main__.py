"""`make bench`: every bar of this project in one run, each as a ratio against a named peer or
limit.
"""

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.files import CACHE
from worker_images.model import results

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "slim"
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


@dataclass(frozen=True)
class Bar:
    """One measured ratio; it holds where it is at most 1."""

    name: str
    ours: float
    peer: float
    unit: str
    against: str

    def __str__(self) -> str:
        ratio = self.ours / self.peer
        return (
            f"{'ok  ' if ratio <= 1 else 'OVER'} {ratio:5.2f}  {self.name}: {self.ours:.2f}"
            f" {self.unit}, {self.against} {self.peer:.2f}"
        )


def seconds(
    command: list[str], environment: dict[str, str] | None = None, cwd: Path = ROOT
) -> float:
    """Wall time of a command that must succeed."""
    begun = time.monotonic()
    subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)
    return time.monotonic() - begun


def size(_: Endpoint) -> Bar:
    made = json.loads((OUT / "build.json").read_text())
    return Bar("slim, compressed layers", made["compressed_size"] / 1e6, 48, "MB", "limit")


def no_op(endpoint: Endpoint) -> Bar:
    """Nothing changed: build.py, which also knows that the image was judged, and buildx, all
    cached, in turns.
    """
    ours = [sys.executable, "build.py", "--variant", "slim"]
    peer = [
        *endpoint.buildx,
        "build",
        "--quiet",
        "--provenance=false",
        "--secret",
        "id=ca,src=/etc/ssl/certs/ca-certificates.crt",
    ]
    seconds(
        [sys.executable, "build.py", "--variant", "slim", "--print", "bake"], endpoint.environment
    )
    context = OUT / "bake/context"
    peer += [
        "--tag",
        "bench:no-op",
        "--file",
        str(context / "slim/Dockerfile.worker"),
        str(context),
    ]
    for command in (ours, peer):
        seconds(command, endpoint.environment)
    pairs = [
        (seconds(ours, endpoint.environment), seconds(peer, endpoint.environment)) for _ in range(9)
    ]
    subprocess.run(
        [endpoint.docker, "rmi", "bench:no-op"],
        env=endpoint.environment,
        check=True,
        capture_output=True,
    )
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Bar("no-op build", mine, theirs, "s", "docker buildx build on the same Dockerfile, warm")


def compat(_: Endpoint) -> Bar:
    """Which releases serve a driver: the whole command, as a shell meets it."""
    return Bar("build.py compat", _answered("compat", "--driver", "580.159.04"), 0.3, "s", "limit")


def plan(_: Endpoint) -> Bar:
    return Bar(
        "build.py --print plan",
        _answered("--variant", "slim", "--print", "plan"),
        0.3,
        "s",
        "limit",
    )


def _answered(*arguments: str) -> float:
    return statistics.median(seconds(["./build.py", *arguments]) for _ in range(9))


def start(_: Endpoint) -> Bar:
    """A sandbox in the image's unpacked root and by its runsc alone, in turns.

    The workload layer tells all that a GPU is needed for.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "worker_images.node",
                "workload",
                "--variant",
                "slim",
                "--benchmark",
                "--results",
                folder,
            ],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        rows = json.loads((Path(folder) / "benchmark.json").read_text())["metrics"]
    row = next(each for each in rows if each["metric"]["key"] == "start_s")
    return Bar(
        "a sandbox's start", row["sandbox"], 1.3 * row["node"], "s", "the bare binary's x 1.3"
    )


def bump(endpoint: Endpoint) -> Bar:
    """Another gVisor, from the edit to an image in the engine, against its own compile step."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        pins = clone / "versions.yaml"
        text = pins.read_text()
        for old, new in BUMP.items():
            assert old in text, f"{old} is no longer pinned; bump from what is"
            text = text.replace(old, new)
        pins.write_text(text)
        seconds([sys.executable, "build.py", "lock"], endpoint.environment, clone)
        taken = seconds(
            [sys.executable, "build.py", "--variant", "slim", "--no-judge", "--no-cache"],
            endpoint.environment,
            clone,
        )
        log = (clone / "out/slim/build.log").read_text()
    step = re.search(r"^#([0-9]+) \[gvisor .*go build", log, re.MULTILINE)
    assert step
    compiled = re.search(rf"^#{step[1]} DONE ([0-9.]+)s", log, re.MULTILINE)
    assert compiled
    return Bar(
        "gVisor bump, start to loaded",
        taken,
        float(compiled[1]) + 15,
        "s",
        "its compile step + 15 s",
    )


def checks(endpoint: Endpoint) -> Bar:
    """The same 20 checks of the same image, through the open shell and through stock testinfra."""
    names = (ROOT / "bench/checks.txt").read_text().split()
    assert len(names) == 20
    ours, theirs = (_check_seconds(names, backend, endpoint) for backend in ("dockersh", "docker"))
    return Bar("20 checks", ours, theirs / 4, "s", "a quarter of stock testinfra's")


def _check_seconds(names: list[str], backend: str, endpoint: Endpoint) -> float:
    report = OUT / f"bench-{backend}.xml"
    path = (
        os.pathsep.join([str(Path(endpoint.docker).parent), os.environ["PATH"]])
        if "/" in endpoint.docker
        else os.environ["PATH"]
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *names,
        "--variant",
        "slim",
        "--backend",
        backend,
        "--junit-xml",
        str(report),
    ]
    seconds(command, {**endpoint.environment, "PATH": path})
    checks = results.read(report).checks
    assert len(checks) == len(names)
    # The first check of a session also opens the container; that is the same for both and not what
    # is compared.
    return sum(check.seconds for check in checks[1:])


def _cold(endpoint: Endpoint, command: list[str]) -> float:
    """Wall time with an engine that runs and knows nothing: no layer, no module, no root of Debian
    packages.
    """
    subprocess.run(
        [endpoint.docker, "builder", "prune", "--all", "--force"],
        env=endpoint.environment,
        check=True,
        capture_output=True,
    )
    shutil.rmtree(CACHE / "roots", ignore_errors=True)
    return seconds(command, endpoint.environment)


def _cold_build(endpoint: Endpoint, variant: str) -> float:
    return _cold(
        endpoint, [sys.executable, "build.py", "--variant", variant, "--no-judge", "--no-cache"]
    )


def shared(endpoint: Endpoint) -> Bar:
    """Both variants at once, from nothing, against slim alone from nothing."""
    return Bar(
        "all, cold",
        _cold_build(endpoint, "all"),
        1.85 * _cold_build(endpoint, "slim"),
        "s",
        "1.85 x slim alone",
    )


def bake(endpoint: Endpoint) -> Bar:
    """Both variants at once, from nothing, against docker buildx bake in the same run: its file is
    written just before it begins.
    """
    ours = _cold_build(endpoint, "all")
    file, log = (ROOT / "out/all" / name for name in ("build.bake.json", "build.log"))
    return Bar(
        "all, cold",
        ours,
        1.05 * (log.stat().st_mtime - file.stat().st_mtime),
        "s",
        "1.05 x its docker buildx bake",
    )


def suite(endpoint: Endpoint) -> Bar:
    """The image layer of both variants, after the build."""
    return Bar(
        "judging both",
        seconds([sys.executable, "build.py", "test"], endpoint.environment),
        20,
        "s",
        "limit",
    )


def full_size(_: Endpoint) -> Bar:
    made = json.loads((ROOT / "out/full/build.json").read_text())
    return Bar("full, compressed layers", made["compressed_size"] / 1e6, 70, "MB", "limit")


def memory(endpoint: Endpoint) -> Bar:
    """The judge's largest process."""
    seconds(
        [sys.executable, "-m", "pytest", "-q", "tests/image", "--variant", "slim"],
        endpoint.environment,
    )
    return Bar(
        "the judge's memory",
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000,
        200,
        "MB",
        "limit",
    )


def bare(_: Endpoint) -> Bar:
    """A bare Debian that holds only python3, git and make: clone, make slim."""
    if not shutil.which("mmdebstrap"):
        subprocess.run([str(ROOT / "scripts/setup"), "bench"], check=True)
    result = subprocess.run(
        [str(ROOT / "bench/bare"), str(ROOT)], capture_output=True, text=True, check=False
    )
    taken = re.search(r"^bare: ([0-9]+) s$", result.stdout, re.MULTILINE)
    assert taken, result.stdout[-2000:] + result.stderr[-2000:]
    return Bar("bare machine to judged slim", float(taken[1]), 300, "s", "limit")


def main() -> int:
    """Measure all bars, or those named on the command line; 1 where one is over."""
    every: dict[str, Callable[[Endpoint], Bar]] = {
        "size": size,
        "full-size": full_size,
        "memory": memory,
        "compat": compat,
        "plan": plan,
        "no-op": no_op,
        "checks": checks,
        "suite": suite,
        "bump": bump,
        "start": start,
        "all": shared,
        "bake": bake,
        "bare": bare,
    }
    endpoint = locate(PrivateEngine(ROOT))
    assert endpoint, "no engine; run: make slim"
    bars = []
    for name in sys.argv[1:] or every:
        bars.append(every[name](endpoint))
        print(bars[-1], flush=True)
    return int(any(bar.ours > bar.peer for bar in bars))


if __name__ == "__main__":
    raise SystemExit(main())
