"""`mirrors` of versions.yaml: what replaces the starts of addresses."""

from pathlib import Path

import pytest

from worker_images.errors import DocumentError
from worker_images.model import pins

MIRRORS = {
    "https://github.com": "https://nexus.example.com/github",
    "https://github.com/opencontainers": "https://nexus.example.com/oci",
    "docker.io": "artifactory.example.com:8443/hub",
}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://github.com/a/b", "https://nexus.example.com/github/a/b"),
        ("https://github.com/opencontainers/b", "https://nexus.example.com/oci/b"),
        ("https://github.com.example.org/a", "https://github.com.example.org/a"),
        ("https://example.org/https://github.com/a", "https://example.org/https://github.com/a"),
        ("docker.io/library/debian:a", "artifactory.example.com:8443/hub/library/debian:a"),
    ],
)
def test_longest_start_of_an_address_is_replaced(address: str, found: str) -> None:
    assert pins.mirrored(address, MIRRORS) == found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"docker.io": "https://mirror.example.com"', "must both be URLs, or both be registries"),
        ('"https://github.com": "mirror.example.com"', "must both be URLs, or both be registries"),
        ('"https://github.com/": "https://mirror.example.com"', "is not allowed"),
        ('"https://github.com": "https://user:secret@mirror.example.com"', "is not allowed"),
        ('"https://github.com": "ftp://mirror.example.com"', "is not allowed"),
    ],
)
def test_wrong_mirror_is_refused(line: str, message: str, checkout: Path) -> None:
    """A login belongs into netrc, not into a file that is committed."""
    versions = checkout / "versions.yaml"
    versions.write_text(f"{versions.read_text()}mirrors:\n  {line}\n")
    with pytest.raises(DocumentError, match=message):
        pins.load(versions)


def test_mirrors_are_read(checkout: Path) -> None:
    """The control of the test above."""
    versions = checkout / "versions.yaml"
    rows = "".join(f'  "{start}": "{mirror}"\n' for start, mirror in MIRRORS.items())
    versions.write_text(f"{versions.read_text()}mirrors:\n{rows}")
    assert pins.load(versions)[0].mirrors == MIRRORS
