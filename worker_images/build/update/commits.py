"""Newer commits of gVisor, from the Go module proxy and the release bucket."""

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
from worker_images.errors import NoResponseError, UsageError
from worker_images.fetch import gomod, web
from worker_images.model.component import GoModule, UpstreamFile
from worker_images.model.drivers.table import COMPONENT, Release
from worker_images.model.pins import mirrored
from worker_images.model.project import Project

BUCKET = "https://storage.googleapis.com"
# A commit's archive is about 20 MB.
MOST_COMMITS = 5
MOST_ARCHIVE_BYTES = 256 << 20
MOST_SOURCE_BYTES = 4 << 20
MOST_DIGEST_BYTES = 1 << 20


class ModuleVersion(BaseModel):
    """A version, as the module proxy's .info file describes it."""

    version: str = Field(alias="Version")
    time: datetime | None = Field(alias="Time", default=None)


@dataclass(frozen=True)
class Sources:
    """The addresses that newer commits come from."""

    module: str
    proxy: str
    bucket: str = BUCKET
    timeout: float = web.TIMEOUT_SECONDS
    published: UpstreamFile | None = None

    def address(self, path: str) -> str:
        """Return the proxy's address of a file of the module."""
        return f"{self.proxy}/{gomod.escaped(self.module)}/{path}"


def sources(environment: Mapping[str, str], module: str) -> Sources:
    """Return the first HTTP proxy of GOPROXY; raises NoResponseError if it names none."""
    proxies = gomod.named(environment.get("GOPROXY") or gomod.PROXY)
    if not proxies:
        raise NoResponseError(
            "GOPROXY names no HTTP proxy; set it to one, such as https://proxy.golang.org"
        )
    return Sources(module, proxies[0])


def of_project(environment: Mapping[str, str], project: Project) -> Sources:
    """Return the module, and where its commits and releases are; raises UsageError."""
    definition = project.catalog.components[COMPONENT]
    module, published = definition.packages, definition.upstream
    if not isinstance(module, GoModule):
        raise UsageError(f"{COMPONENT}: component.yaml does not name a Go module")
    file = published if isinstance(published, UpstreamFile) else None
    found = sources(environment, module.module)
    return replace(found, bucket=mirrored(BUCKET, project.pins.mirrors), published=file)


def newer(origin: Sources, pinned: str, named: Collection[str], facts: Facts) -> list[Offer]:
    """Return the commits after the pinned one, newest first.

    These are the latest, those that the proxy lists, and the named ones. Raises NoResponseError if
    the proxy does not list versions.
    """
    found = {*_listed(origin), *_latest(origin), *named}
    after = [version for version in found if date_of(version) > date_of(pinned)]
    rows = sorted(after, key=date_of, reverse=True)[:MOST_COMMITS]
    return [_with_release(origin, _offer(origin, version), facts) for version in rows]


def _listed(origin: Sources) -> list[str]:
    address = origin.address("@v/list")
    found = web.get(address, origin.timeout).decode("utf-8", "replace").split()
    if not all(re.fullmatch(r"v[0-9]+\.[0-9A-Za-z.+-]{1,128}", version) for version in found):
        raise web.unexpected(address, "not a list of versions")
    return found


def _latest(origin: Sources) -> list[str]:
    try:
        return [web.record(origin.address("@latest"), ModuleVersion, origin.timeout).version]
    except NoResponseError as error:
        # A caching proxy may not serve @latest; then its list is all it has.
        if error.status in {403, 404, 410}:
            return []
        raise


def _offer(origin: Sources, version: str) -> Offer:
    """Return a commit with the drivers that its source registers."""
    try:
        info = web.record(origin.address(f"@v/{version}.info"), ModuleVersion, origin.timeout)
        address = origin.address(f"@v/{version}.zip")
        archive = web.get(address, origin.timeout, MOST_ARCHIVE_BYTES)
        return Offer(version, info.time, len(archive), drivers(version, archive))
    except NoResponseError as error:
        return Offer(version, error=str(error))


def _with_release(origin: Sources, offer: Offer, facts: Facts) -> Offer:
    """Add the release that serves the same drivers, and the SHA-512 of what it publishes."""
    if offer.drivers is None or offer.published is None:
        return offer
    release = contract.matching(offer.drivers, offer.published, facts.releases)
    if not release:
        return offer
    # The table has the sums of single files.
    is_archive = bool(origin.published and origin.published.is_archive(release))
    known = "" if is_archive else facts.sha512.get(release, "")
    try:
        sha512 = known or _published_sha512(origin, release, is_archive=is_archive)
    except NoResponseError as error:
        return replace(
            offer,
            release=release,
            error=f"{error}, so the SHA-512 of runsc {release} is unknown",
        )
    return replace(offer, release=release, sha512=sha512)


def _published_sha512(origin: Sources, release: str, *, is_archive: bool) -> str:
    """Return the SHA-512 of the file or the archive that the bucket publishes for x86_64."""
    name = "gvisor.tar.bz2" if is_archive else "runsc"
    address = f"{origin.bucket}/gvisor/releases/release/{release}/x86_64/{name}.sha512"
    text = web.get(address, origin.timeout, MOST_DIGEST_BYTES).decode("utf-8", "replace")
    match = re.match(r"([0-9a-f]{128})\b", text)
    if match is None:
        raise web.unexpected(address, "not a SHA-512")
    return match[1]


def drivers(version: str, archive: bytes) -> Release:
    """Return the drivers that the runsc of a module archive serves.

    Raises NoResponseError if the archive is not of the go branch.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            names = files.namelist()
            source = next((name for name in names if name.endswith("/" + contract.SOURCE)), "")
            if not source or not any(name.endswith("_autogen.go") for name in names):
                raise NoResponseError("its archive is not from gVisor's go branch")
            if files.getinfo(source).file_size > MOST_SOURCE_BYTES:
                raise NoResponseError(f"{contract.SOURCE} in its archive is too large")
            return contract.of_source(version, files.read(source).decode("utf-8", "replace"))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise NoResponseError("its archive is corrupt or not a zip file") from error
