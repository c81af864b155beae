"""What a Python package index offers, by the JSON form of the simple API."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from worker_images.build.update import order
from worker_images.build.update.values import Offer
from worker_images.errors import NoAnswerError
from worker_images.fetch import web

DEFAULT = "https://pypi.org/simple"
ACCEPT = {"Accept": "application/vnd.pypi.simple.v1+json"}


class IndexFile(BaseModel):
    """One file of a project."""

    filename: str
    hashes: dict[str, str]
    size: int | None = None
    uploaded: datetime | None = Field(alias="upload-time", default=None)
    yanked: bool | str = False


class ProjectPage(BaseModel):
    """A project's files."""

    files: list[IndexFile]


def chosen(environment: Mapping[str, str]) -> str:
    """The index that pip asks; empty where it is not asked over HTTP."""
    address = (environment.get("PIP_INDEX_URL") or DEFAULT).rstrip("/")
    return address if address.startswith(("https://", "http://")) else ""


@dataclass(frozen=True)
class Wheels:
    """A project's wheels for x86_64."""

    index: str
    project: str
    timeout: float = web.TIMEOUT_SECONDS

    def newer(self, pinned: str) -> Sequence[Offer]:
        """Newest first; a version that was taken back is none."""
        if not self.index:
            raise NoAnswerError(
                "PIP_INDEX_URL is no http address; set it to one, such as https://pypi.org/simple"
            )
        page = web.record(f"{self.index}/{self.project}/", ProjectPage, self.timeout, ACCEPT)
        pattern = re.compile(
            re.escape(self.project.replace("-", "_"))
            + r"-([^-]+)-py3-none-.*manylinux[0-9_]*_x86_64\.whl"
        )
        found: dict[str, IndexFile] = {}
        for file in page.files:
            if (match := pattern.fullmatch(file.filename)) and not file.yanked:
                found[match[1]] = file
        return [_offer(version, found[version]) for version in order.newer(found, pinned)]


def _offer(version: str, file: IndexFile) -> Offer:
    digest = file.hashes.get("sha256", "")
    fault = (
        "" if re.fullmatch(r"[0-9a-f]{64}", digest) else "the index gives no SHA-256 of its wheel"
    )
    return Offer(version, file.uploaded, file.size, digest, fault=fault)
