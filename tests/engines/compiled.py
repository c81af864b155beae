"""BuildKit, compiled from its Go module with the Go release that versions.yaml pins."""

import re
import shutil
import subprocess
import time
from pathlib import Path

from tests.engines.space import run_command
from tests.engines.suite import Parts
from worker_images.build import gotoolchain, tars
from worker_images.build.inputs import Toolchain
from worker_images.build.tars import Progress, cleared
from worker_images.errors import EngineError, NoResponseError
from worker_images.fetch import gomod, web
from worker_images.files import CACHE, atomic_path, text_digest, without_stale_parts

HERE = Path(__file__).parent / "buildkit"
MODULE = "github.com/moby/buildkit"
FILES = ("go.mod", "go.sum")
SECONDS = 30
RELEASE = re.compile(r"^v[0-9]+\.[0-9]+\.[0-9]+$", re.MULTILINE)


def version() -> str:
    """Return the release that go.mod pins."""
    found = re.search(
        rf"^\t{re.escape(MODULE)} (v\S+)", (HERE / "go.mod").read_text(), re.MULTILINE
    )
    assert found
    return found[1]


def description(parts: Parts) -> str:
    """Return the release, the compiler, and whether a newer release exists."""
    return f"BuildKit {version()} ({_newest()}), compiled by Go {parts.locked.toolchain.version}"


def _newest() -> str:
    try:
        address = f"{next(iter(gomod.proxies()), gomod.PROXY)}/{MODULE}/@v/list"
        found = RELEASE.findall(web.get(address, SECONDS).decode())
    except (NoResponseError, ValueError) as error:
        return f"cannot check for a newer release: {error}"
    newest = max(found, key=_numbers, default=version())
    return (
        "the newest release" if newest == version() else f"{newest} is newer: see CONTRIBUTING.md"
    )


def _numbers(release: str) -> list[int]:
    return [int(number) for number in release.removeprefix("v").split(".")]


def buildkitd(scratch: Path, parts: Parts, progress: Progress) -> Path:
    """Return the path of buildkitd, cached by the digest of its sources.

    Raises FetchError if they cannot be fetched.
    """
    flags = ["-ldflags", f"-s -w -X {MODULE}/version.Version={version()}"]
    texts = [(HERE / name).read_text() for name in FILES]
    toolchain = Toolchain(gomod.toolchain("", parts.locked.toolchain.sum)).digest
    key = text_digest("".join([*texts, *flags, toolchain]))
    program = without_stale_parts(CACHE / "buildkit") / f"buildkitd-{key[:16]}"
    progress(description(parts))
    if not program.is_file():
        folder = cleared(scratch)
        _lay_out(folder, parts, progress)
        progress("compiling BuildKit; takes about two minutes on two cores")
        begun = time.monotonic()
        with atomic_path(program) as part:
            _compile(folder, [*flags, "-o", str(part)])
        progress(f"compiled BuildKit in {time.monotonic() - begun:.0f} s")
        shutil.rmtree(folder)
    return program


def _lay_out(folder: Path, parts: Parts, progress: Progress) -> None:
    """Write the compiler, go.mod, go.sum, and the modules in the layout of a module proxy."""
    locked = parts.locked.toolchain
    toolchain = Toolchain(gomod.toolchain(locked.version, locked.sum))
    tars.place(folder, [toolchain], parts.write, parts.epoch, progress)
    command = ["tar", "--extract", "--file", str(folder / "go.tar"), "--directory", str(folder)]
    subprocess.run(command, check=True)
    files = gomod.files((HERE / "go.sum").read_text(), "tests/engines/buildkit/go.sum")
    progress(f"fetching {len(files)} files of Go modules that are not cached")
    for file, path in zip(files, parts.store.modules(files), strict=True):
        tars.link(path, folder / "modules" / file.name)
    for each in FILES:
        shutil.copyfile(HERE / each, folder / each)


def _compile(folder: Path, arguments: list[str]) -> None:
    """Compile without a network, from the files in the folder alone."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "GOPATH": str(folder / "go"),
        "GOCACHE": str(folder / "cache"),
        "GOPROXY": (folder / "modules").as_uri(),
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "CGO_ENABLED": "0",
    }
    go = str(folder / gotoolchain.PLACE / "bin" / "go")
    command = ["unshare", "--net", go, "build", *arguments, f"{MODULE}/cmd/buildkitd"]
    result = run_command(command, folder, environment)
    if result.returncode:
        output = " / ".join(result.stderr.splitlines()[-5:])
        raise EngineError(f"compiling BuildKit failed: {output}")
