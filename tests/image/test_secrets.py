"""Is the image free of secrets, in its configuration and in every file of every layer?"""

import json
import re

import pytest

from worker_images.harness.closed_world import Declared
from worker_images.harness.collection import Case
from worker_images.model.oci.image import Image

# A text that each secret of a kind contains, which is fast to find in large files, and the pattern
# that its issuer documents.
SECRET_PATTERNS = {
    b"PRIVATE KEY-----": (
        rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\r?\n(?:[A-Za-z0-9-]+:"
        rb" [^\n]*\n|\r?\n)*[A-Za-z0-9+/=]{40}"
    ),
    b"AKIA": rb"\bAKIA[A-Z2-7]{16}\b",
    b"ghp_": rb"\bghp_[A-Za-z0-9]{36}\b",
    b"ghs_": rb"\bghs_[A-Za-z0-9]{36}\b",
    b"github_pat_": rb"\bgithub_pat_[A-Za-z0-9_]{82}\b",
    b"glpat-": rb"\bglpat-[A-Za-z0-9_-]{20}\b",
    b"xoxb-": rb"\bxoxb-[0-9]{10,13}-[A-Za-z0-9-]{20,}",
    b"nvapi-": rb"\bnvapi-[A-Za-z0-9_-]{60,}",
    b"pypi-AgEIcHlwaS5vcmc": rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
    b"AIza": rb"\bAIza[A-Za-z0-9_-]{35}\b",
    b"://": rb"\bhttps?://[A-Za-z0-9._~%-]+:[A-Za-z0-9._~%-]{3,}@[a-z0-9]",
    b'"auth"': rb'"auth"\s*:\s*"[A-Za-z0-9+/]{16,}={0,2}"',
}
# The bytes before and after that text which a pattern can match.
BEFORE, AFTER = 64, 512
# A setting with such a name is a secret, whatever its value.
SECRET_NAMES = re.compile(
    r"(?i)(passw(or)?d|secret|token|credential|api_?key|private_?key|access_?key)(_[0-9]+)?\s*=\s*['\"]?[^\s'\"$]{4,}"
)


def _secrets_in(text: bytes) -> set[str]:
    """Return the kinds of secrets in a text."""
    return {
        marker.decode()
        for marker, pattern in SECRET_PATTERNS.items()
        if marker in text and _matches(text, marker, re.compile(pattern))
    }


def _matches(text: bytes, marker: bytes, pattern: re.Pattern[bytes]) -> bool:
    position = text.find(marker)
    while position >= 0 and not pattern.search(text, max(0, position - BEFORE), position + AFTER):
        position = text.find(marker, position + 1)
    return position >= 0


@pytest.fixture(scope="module")
def settings(image: Image) -> list[str]:
    """The environment variables, labels and history of the image."""
    history, labels, variables = (
        image.config["history"],
        image.settings.get("Labels", {}),
        image.settings["Env"],
    )
    assert isinstance(history, list)
    assert isinstance(labels, dict)
    assert isinstance(variables, list)
    return [
        *variables,
        *(f"{key}={value}" for key, value in labels.items()),
        *(str(step) for step in history),
    ]


def test_configuration_contains_no_secret(image: Image) -> None:
    assert image.config
    assert not _secrets_in(json.dumps(image.config).encode())


def test_no_secret_in_env_labels_or_history(settings: list[str]) -> None:
    assert settings
    assert not [
        line for line in settings if SECRET_NAMES.search(line) or _secrets_in(line.encode())
    ]


def test_no_file_contains_a_secret(image: Image, case: Case, declared: dict[str, Declared]) -> None:
    """Files that a later layer hides are read too; unchanged Debian files are skipped."""
    known = {path: found.sha256 for path, found in declared.items() if found.sha256}
    files = [
        entry
        for entry in image.entries
        if entry.kind == "file" and known.get(entry.path) != image.sha256(entry)
    ]
    assert len(files) > len(case.components)
    assert not {entry.path: found for entry in files if (found := _secrets_in(image.read(entry)))}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXktdjEA" * 4,
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n" + "A" * 64,
        "AKIA" + "ABCDEFGH23456722",
        "ghp_" + "a1" * 18,
        "glpat-" + "a" * 20,
        "nvapi-" + "a" * 64,
        "https://robot:hunter2@registry.example",
        '{"auths": {"r": {"auth": "cm9ib3Q6aHVudGVyMg=="}}}',
    ],
)
def test_made_up_secret_is_found(text: str) -> None:
    """A control: the patterns match made-up secrets."""
    assert _secrets_in(f"x {text} y".encode())
