"""What a Go module proxy offers: modules, gVisor's commits with the drivers that each serves, and
Go itself.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from worker_images.build.update import contract, order
from worker_images.build.update.values import Contract, Offer
from worker_images.errors import NoAnswerError
from worker_images.fetch import gomod, web

TOOLCHAIN = re.compile(r"v0\.0\.1-go(1\.[0-9]+\.[0-9]+)\.linux-amd64")
# A commit's archive is some 20 MB.
MOST_COMMITS = 5
MOST_OF_A_VERSION = 128
MOST_ARCHIVE_BYTES = 256 << 20
MOST_SOURCE_BYTES = 4 << 20


class ModuleVersion(BaseModel):
    """One version as a proxy's .info tells it."""

    version: str = Field(alias="Version")
    time: datetime | None = Field(alias="Time", default=None)


def chosen(environment: Mapping[str, str]) -> str:
    """The first proxy of GOPROXY that is asked over HTTP; empty where it names none."""
    return next(iter(gomod.named(environment.get("GOPROXY") or gomod.PROXY)), "")


@dataclass(frozen=True)
class Module:
    """One module at a proxy."""

    proxy: str
    path: str
    timeout: float = web.TIMEOUT_SECONDS

    def address(self, rest: str) -> str:
        """Where the proxy keeps something of the module."""
        return f"{self.proxy}/{gomod.escaped(self.path)}/{rest}"

    def versions(self) -> list[str]:
        """All that the proxy lists; raises NoAnswerError for what is no list."""
        if not self.proxy:
            raise NoAnswerError(
                "GOPROXY names no proxy that can be asked; set it to one, such as"
                " https://proxy.golang.org"
            )
        body = web.get(self.address("@v/list"), self.timeout).decode("utf-8", "replace")
        found = body.split()
        if not all(re.fullmatch(r"v[0-9]+\.[0-9A-Za-z.+-]+", version) for version in found):
            raise NoAnswerError(f"{web.host(self.proxy)} answers what is no list of versions")
        if longest := max(
            (len(version) for version in found if len(version) > MOST_OF_A_VERSION), default=0
        ):
            raise NoAnswerError(f"{web.host(self.proxy)} lists a version of {longest} characters")
        return found

    def offer(self, version: str, name: str) -> Offer:
        """Date and size of a version.

        One that the proxy lists and does not give is an offer with a fault.
        """
        try:
            published = web.record(
                self.address(f"@v/{version}.info"), ModuleVersion, self.timeout
            ).time
        except NoAnswerError as error:
            return Offer(name, fault=f"{name} is listed and cannot be had: {error}")
        return Offer(name, published, web.size(self.address(f"@v/{version}.zip"), self.timeout))


@dataclass(frozen=True)
class Releases:
    """Tagged versions of a module."""

    module: Module

    def newer(self, pinned: str) -> Sequence[Offer]:
        """Newest first."""
        return [
            self.module.offer(version, version)
            for version in order.newer(self.module.versions(), pinned)
        ]


@dataclass(frozen=True)
class Toolchains:
    """Releases of Go, which the proxy gives as a module."""

    module: Module

    def newer(self, pinned: str) -> Sequence[Offer]:
        """Newest first."""
        found = {
            match[1]: match[0]
            for each in self.module.versions()
            if (match := TOOLCHAIN.fullmatch(each))
        }
        return [
            self.module.offer(found[version], version) for version in order.newer(found, pinned)
        ]


@dataclass(frozen=True)
class Commits:
    """Commits of gVisor's go branch: the latest, those that the proxy lists, and those that the
    reader names.
    """

    module: Module
    named: tuple[str, ...] = ()

    def newer(self, pinned: str) -> Sequence[Offer]:
        """Newest first, each with the drivers that its own source names."""
        found = {*self.module.versions(), *self._latest(), *self.named}
        wanted = [
            each
            for each in found
            if order.PSEUDO.fullmatch(each) and order.numbers(each) > order.numbers(pinned)
        ]
        return [
            self._offer(version)
            for version in sorted(wanted, key=order.numbers, reverse=True)[:MOST_COMMITS]
        ]

    def _latest(self) -> list[str]:
        try:
            return [
                web.record(
                    self.module.address("@latest"), ModuleVersion, self.module.timeout
                ).version
            ]
        except NoAnswerError as error:
            # A proxy that keeps only what was asked for has no latest; its list is what there is.
            if error.status in {403, 404, 410}:
                return []
            raise

    def _offer(self, version: str) -> Offer:
        try:
            published = web.record(
                self.module.address(f"@v/{version}.info"), ModuleVersion, self.module.timeout
            ).time
            archive = web.get(
                self.module.address(f"@v/{version}.zip"), self.module.timeout, MOST_ARCHIVE_BYTES
            )
            return Offer(version, published, len(archive), contract=drivers(archive))
        except NoAnswerError as error:
            return Offer(version, fault=f"{version} cannot be had: {error}")


def drivers(archive: bytes) -> Contract:
    """What the runsc of a module's archive serves.

    Raises NoAnswerError where it is not of the go branch.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            names = files.namelist()
            source = next((name for name in names if name.endswith("/" + contract.SOURCE)), "")
            if not source or not any(name.endswith("_autogen.go") for name in names):
                raise NoAnswerError("its archive is not of gVisor's go branch")
            if files.getinfo(source).file_size > MOST_SOURCE_BYTES:
                raise NoAnswerError(f"{contract.SOURCE} in its archive is too large")
            return contract.of_source(files.read(source).decode("utf-8", "replace"))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise NoAnswerError("its archive is no zip file, or a damaged one") from error
