"""The command `lock --check --security`, with archives that it must not trust."""

from collections.abc import Callable

import pytest

from tests.support.debian_archives import FOLDER, Debian
from worker_images.errors import FetchError
from worker_images.fetch import apt


def _hide(path: str) -> Callable[[Debian, pytest.MonkeyPatch], None]:
    def hide(debian: Debian, _: pytest.MonkeyPatch) -> None:
        del debian.registry.rows[path]

    return hide


def _alter(debian: Debian, _: pytest.MonkeyPatch) -> None:
    for path, row in debian.registry.rows.items():
        if path.endswith("Packages") and isinstance(row, bytes):
            debian.registry.rows[path] = row.replace(b"1:99", b"0:00")


def _sign_otherwise(_: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "KEYRING", FOLDER / "stranger.asc")


def _let_expire(debian: Debian, _: pytest.MonkeyPatch) -> None:
    debian.use("expired")


@pytest.mark.parametrize(
    ("prepare", "cause"),
    [
        (_hide("/newer/dists/trixie-security/InRelease"), "does not have a Release file"),
        (_hide("/newer/dists/trixie-security/main/binary-arm64/Packages"), "Failed to fetch"),
        (_hide("/main/dists/trixie/InRelease"), "does not have a Release file"),
        (_alter, "unexpected size|Hash Sum mismatch|File has unexpected"),
        (_sign_otherwise, "is not signed|NO_PUBKEY"),
        (_let_expire, "is expired|not valid anymore"),
    ],
    ids=["no-security", "no-index", "no-main", "altered", "other-key", "expired"],
)
def test_archive_that_cannot_be_trusted_is_exit_3(
    prepare: Callable[[Debian, pytest.MonkeyPatch], None],
    cause: str,
    debian: Debian,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is never "none"."""
    prepare(debian, monkeypatch)
    with pytest.raises(FetchError, match=cause):
        debian.lock("--check", "--security")


def test_archive_without_an_architecture_is_exit_3(debian: Debian) -> None:
    """apt itself only notes it."""
    source = f"deb [signed-by={apt.KEYRING}] {debian.registry.address}/older trixie-security main"
    assert apt.newest(source, {"tini", "none"}, "arm64") == {"tini": "0.1"}
    with pytest.raises(FetchError, match="no package for riscv64 in: "):
        apt.newest(source, {"tini"}, "riscv64")
