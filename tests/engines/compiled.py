"""BuildKit, compiled from its Go module with the Go release that versions.yaml pins."""

import re
from pathlib import Path

from worker_images.build.go_programs import Parts, Program
from worker_images.build.tars import Progress
from worker_images.errors import NoResponseError
from worker_images.fetch import gomod, web

HERE = Path(__file__).parent / "buildkit"
MODULE = "github.com/moby/buildkit"
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


def buildkitd(parts: Parts, progress: Progress) -> Path:
    """Return the path of buildkitd; raises FetchError if its sources cannot be fetched."""
    progress(description(parts))
    flags = ("-ldflags", f"-s -w -X {MODULE}/version.Version={version()}")
    return Program("buildkitd", f"{MODULE}/cmd/buildkitd", HERE, flags).compiled(parts, progress)
