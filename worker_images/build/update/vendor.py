"""The digests of what projects publish on sites of their own: a pin holds them for the other
supply.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel

from worker_images.errors import NoAnswerError
from worker_images.fetch import web

GITHUB = "https://github.com"
BUCKET = "https://storage.googleapis.com"
REGISTRY = "https://registry-1.docker.io"
TOKENS = "https://auth.docker.io"
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json,"
    " application/vnd.docker.distribution.manifest.list.v2+json,"
    " application/vnd.oci.image.manifest.v1+json,"
    " application/vnd.docker.distribution.manifest.v2+json"
)


class Token(BaseModel):
    """A registry's leave to read."""

    token: str


@dataclass(frozen=True)
class RuncRelease:
    """runc's own list of checksums, beside its programs."""

    site: str = GITHUB
    timeout: float = web.TIMEOUT_SECONDS

    def digest(self, version: str) -> str:
        """SHA-256 of runc.amd64; raises NoAnswerError."""
        address = f"{self.site}/opencontainers/runc/releases/download/v{version}/runc.sha256sum"
        text = web.get(address, self.timeout, 1 << 20).decode("utf-8", "replace")
        return _found(
            r"^([0-9a-f]{64}) [ *]runc\.amd64$",
            text,
            f"{web.host(self.site)} has no SHA-256 of runc.amd64 {version}",
        )


@dataclass(frozen=True)
class RunscRelease:
    """The checksums of runsc that are written down, and gVisor's bucket for those that are not."""

    written: Mapping[str, str]
    site: str = BUCKET
    timeout: float = web.TIMEOUT_SECONDS

    def digest(self, version: str) -> str:
        """SHA-512 of runsc for x86_64; raises NoAnswerError."""
        if version in self.written:
            return self.written[version]
        text = web.get(
            f"{self.site}/gvisor/releases/release/{version}/x86_64/runsc.sha512",
            self.timeout,
            1 << 20,
        )
        return _found(
            r"^([0-9a-f]{128})\b",
            text.decode("utf-8", "replace"),
            f"{web.host(self.site)} has no SHA-512 of runsc {version}",
        )


@dataclass(frozen=True)
class ImageTag:
    """The digest that a tag of an image has now."""

    repository: str
    registry: str = REGISTRY
    tokens: str = TOKENS
    timeout: float = web.TIMEOUT_SECONDS

    def digest(self, version: str) -> str:
        """The digest of the tag's index; raises NoAnswerError."""
        scope = f"service=registry.docker.io&scope=repository:{self.repository}:pull"
        token = web.record(f"{self.tokens}/token?{scope}", Token, self.timeout).token
        headers = {"Authorization": f"Bearer {token}", "Accept": MANIFESTS}
        told = web.head(
            f"{self.registry}/v2/{self.repository}/manifests/{quote(version)}",
            self.timeout,
            headers,
        )
        missing = f"{web.host(self.registry)} has no digest of {self.repository}:{version}"
        return _found(r"^(sha256:[0-9a-f]{64})$", told.get("Docker-Content-Digest", ""), missing)


def _found(pattern: str, text: str, missing: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise NoAnswerError(missing)
    return match[1]
