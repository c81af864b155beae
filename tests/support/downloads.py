"""A package of the faulty server, and its download."""

import hashlib
from pathlib import Path

from tests.support.faulty import CONTENT, Server
from worker_images.fetch import apt
from worker_images.model.lock import Package

SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"{SHA256}.deb"


def package(server: Server, path: str = "/tini.deb") -> Package:
    return Package("tini", "1", f"{server.address}{path}", len(CONTENT), SHA256)


def fetched(server: Server, folder: Path) -> Path:
    return apt.fetch([package(server)], folder)[0]
