"""Fixtures: the command update with its own pins, and signed archives."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import registries
from tests.support.debian_archives import FOLDER, Debian
from tests.support.updates import COMMIT, DAY, GVISOR, MIRRORS, SERVED, SHA512, SUM, Update
from worker_images.fetch import apt
from worker_images.files import ROOT


@pytest.fixture
def update(tmp_path: Path) -> Iterator[Update]:
    folder = tmp_path / "pins"
    folder.mkdir()
    with registries.serving() as registry:
        registry.module(GVISOR, {COMMIT: DAY}, registries.archive(SERVED))
        registry.rows[SUM] = f"{SHA512}  gvisor.tar.bz2\n".encode()
        text = (ROOT / "tests/unit/golden/versions.yaml").read_text()
        text += MIRRORS.format(registry.address)
        (folder / "versions.yaml").write_text(text)
        yield Update(registry, folder / "versions.yaml", text)


@pytest.fixture
def debian(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Debian]:
    monkeypatch.setattr(apt, "KEYRING", FOLDER / "signer.asc")
    with registries.serving() as registry:
        found = Debian(registry, checkout)
        found.publish()
        found.use("newer")
        yield found
