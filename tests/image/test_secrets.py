"""Does the image carry a secret: in its environment, labels, history, or in any file of any
layer?
"""

import json
import re

import pytest

from worker_images.harness.closed_world import Declared
from worker_images.harness.collection import Case
from worker_images.model.oci.image import Image

# A word that each form must contain, which is quick to look for in large files, and the form as its
# issuer documents it.
FORMS = {
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
# How far around its word a form reaches.
BEFORE, AFTER = 64, 512
# In a setting a name gives it away, whatever the value is.
TELLING = re.compile(
    r"(?i)(passw(or)?d|secret|token|credential|api_?key|private_?key|access_?key)(_[0-9]+)?\s*=\s*['\"]?[^\s'\"$]{4,}"
)


def _found(text: bytes) -> set[str]:
    """The words of the forms that a text holds."""
    return {
        word.decode()
        for word, form in FORMS.items()
        if word in text and _has(text, word, re.compile(form))
    }


def _has(text: bytes, word: bytes, form: re.Pattern[bytes]) -> bool:
    place = text.find(word)
    while place >= 0 and not form.search(text, max(0, place - BEFORE), place + AFTER):
        place = text.find(word, place + 1)
    return place >= 0


@pytest.fixture(scope="module")
def settings(image: Image) -> list[str]:
    """Every line of the configuration that a reader of the image sees."""
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


def test_no_part_of_the_configuration_is_one(image: Image) -> None:
    assert image.config
    assert not _found(json.dumps(image.config).encode())


def test_no_setting_is_one(settings: list[str]) -> None:
    assert settings
    assert not [line for line in settings if TELLING.search(line) or _found(line.encode())]


def test_no_file_holds_one(image: Image, case: Case, declared: dict[str, Declared]) -> None:
    """Also in files that a later layer hides; what is Debian's byte for byte is no secret."""
    known = {path: found.sha256 for path, found in declared.items() if found.sha256}
    files = [
        entry
        for entry in image.entries
        if entry.kind == "file" and known.get(entry.path) != image.sha256(entry)
    ]
    assert len(files) > len(case.components)
    assert not {entry.path: found for entry in files if (found := _found(image.read(entry)))}


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
def test_the_forms_are_known(text: str) -> None:
    """The control of the tests above, with made-up ones."""
    assert _found(f"x {text} y".encode())
