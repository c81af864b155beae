"""Newer commits of gVisor: what the Go module proxy and the release bucket have of them."""

import io
import re
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel, Field

from worker_images.build.update import contract
from worker_images.build.update.values import Facts, Offer, date_of
from worker_images.errors import NoResponseError
from worker_images.fetch import gomod, web
from worker_images.model.drivers.table import Release

BUCKET = "https://storage.googleapis.com"
# A commit's archive is some 20 MB.
MOST_COMMITS = 5
MOST_ARCHIVE_BYTES = 256 << 20
MOST_SOURCE_BYTES = 4 << 20
MOST_DIGEST_BYTES = 1 << 20


class ModuleVersion(BaseModel):
    """One version as a proxy's .info describes it."""

    version: str = Field(alias="Version")
    time: datetime | None = Field(alias="Time", default=None)


@dataclass(frozen=True)
class Sources:
    """Where newer commits come from."""

    module: str
    proxy: str
    bucket: str = BUCKET
    timeout: float = web.TIMEOUT_SECONDS

    def address(self, rest: str) -> str:
        """Where the proxy keeps something of the module."""
        return f"{self.proxy}/{gomod.escaped(self.module)}/{rest}"


def sources(environment: Mapping[str, str], module: str) -> Sources:
    """The first HTTP proxy of GOPROXY; raises NoResponseError where it names none."""
    proxies = gomod.named(environment.get("GOPROXY") or gomod.PROXY)
    if not proxies:
        raise NoResponseError(
            "GOPROXY names no HTTP proxy; set it to one, such as https://proxy.golang.org"
        )
    return Sources(module, proxies[0])


def newer(ours: Sources, pinned: str, named: Collection[str], facts: Facts) -> list[Offer]:
    """Commits after the pinned one, newest first: the latest, those that the proxy lists, and
    those that the reader names.

    Raises NoResponseError where the proxy does not list them.
    """
    found = {*_listed(ours), *_latest(ours), *named}
    after = [version for version in found if date_of(version) > date_of(pinned)]
    rows = sorted(after, key=date_of, reverse=True)[:MOST_COMMITS]
    return [_released(ours, _offer(ours, version), facts) for version in rows]


def _listed(ours: Sources) -> list[str]:
    address = ours.address("@v/list")
    found = web.get(address, ours.timeout).decode("utf-8", "replace").split()
    if not all(re.fullmatch(r"v[0-9]+\.[0-9A-Za-z.+-]{1,128}", version) for version in found):
        raise web.unexpected(address, "not a list of versions")
    return found


def _latest(ours: Sources) -> list[str]:
    try:
        return [web.record(ours.address("@latest"), ModuleVersion, ours.timeout).version]
    except NoResponseError as error:
        # A proxy that keeps only what was fetched before has no latest; its list is what there is.
        if error.status in {403, 404, 410}:
            return []
        raise


def _offer(ours: Sources, version: str) -> Offer:
    """A commit with the drivers that its own source names."""
    try:
        info = web.record(ours.address(f"@v/{version}.info"), ModuleVersion, ours.timeout)
        address = ours.address(f"@v/{version}.zip")
        archive = web.get(address, ours.timeout, MOST_ARCHIVE_BYTES)
        return Offer(version, info.time, len(archive), drivers(version, archive))
    except NoResponseError as error:
        return Offer(version, unanswered=str(error))


def _released(ours: Sources, offer: Offer, facts: Facts) -> Offer:
    """With the release that serves the same drivers, and the SHA-512 of its runsc."""
    if offer.drivers is None or offer.published is None:
        return offer
    release = contract.matching(offer.drivers, offer.published, facts.releases)
    if not release:
        return offer
    try:
        sha512 = facts.sha512.get(release) or _published(ours, release)
    except NoResponseError as error:
        return replace(
            offer,
            release=release,
            unanswered=f"{error}, so the SHA-512 of runsc {release} is not known",
        )
    return replace(offer, release=release, sha512=sha512)


def _published(ours: Sources, release: str) -> str:
    """SHA-512 of runsc for x86_64, as the bucket names it."""
    address = f"{ours.bucket}/gvisor/releases/release/{release}/x86_64/runsc.sha512"
    text = web.get(address, ours.timeout, MOST_DIGEST_BYTES).decode("utf-8", "replace")
    match = re.match(r"([0-9a-f]{128})\b", text)
    if match is None:
        raise web.unexpected(address, "not a SHA-512")
    return match[1]


def drivers(version: str, archive: bytes) -> Release:
    """What the runsc of a module's archive serves.

    Raises NoResponseError where it is not of the go branch.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            names = files.namelist()
            source = next((name for name in names if name.endswith("/" + contract.SOURCE)), "")
            if not source or not any(name.endswith("_autogen.go") for name in names):
                raise NoResponseError("its archive is not of gVisor's go branch")
            if files.getinfo(source).file_size > MOST_SOURCE_BYTES:
                raise NoResponseError(f"{contract.SOURCE} in its archive is too large")
            return contract.of_source(version, files.read(source).decode("utf-8", "replace"))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise NoResponseError("its archive is damaged, or not a zip file") from error
