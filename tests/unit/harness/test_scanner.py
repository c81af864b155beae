"""Secrets of many kinds are found, and messages do not contain them."""

import pytest

from tests.support.made_up_secrets import SECRETS
from worker_images.harness import scanner

HARMLESS = (
    b"a://a:a" * 100_000,
    b"https://example.org/path?a=1",
    b"-----BEGIN PUBLIC KEY-----\nMIIBIjAN\n-----END PUBLIC KEY-----",
    b"https://user:${PASSWORD}@example.org",
    b"AKIAIOSFODNN7EXAMPLE",
    b"",
)


def test_secrets_of_every_kind_are_found() -> None:
    texts = [(name, [f"x {text} y\n".encode()]) for name, text in SECRETS.items()]
    assert scanner.scan(texts).keys() == SECRETS.keys()


def test_harmless_texts_are_not_reported() -> None:
    assert scanner.scan([(f"{data!r}", [data]) for data in HARMLESS], confidence="low") == {}


def test_url_with_a_password_among_many_urls_is_found() -> None:
    text = b"a://a:a " * 1000 + b"https://user:hunter22@example.org " + b"a://a:a " * 1000
    assert scanner.scan([("x", [text])]) == {"x": {"url with a password"}}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_secret_in_wide_characters_is_found(encoding: str) -> None:
    text = f"x\n{SECRETS['GitHub']}\n".encode(encoding)
    assert scanner.scan([("x", [text])]).keys() == {"x"}


@pytest.mark.parametrize("begin", [0, scanner.PIECE - 20])
def test_secret_in_a_large_file_is_found(begin: int) -> None:
    """A secret that lies across two pieces is found too."""
    data = bytearray(b"\n" * (scanner.PIECE * 2))
    secret = SECRETS["GitHub"].encode()
    data[begin : begin + len(secret)] = secret
    chunks = (bytes(data[at : at + (1 << 20)]) for at in range(0, len(data), 1 << 20))
    assert scanner.scan([("large", chunks)]).keys() == {"large"}


def test_secret_is_reported_for_its_file_among_many() -> None:
    """Small files, binary or without a last newline, are scanned together."""
    secret = SECRETS["GitLab"].encode()
    texts = [(f"{number}", [b"a\r\nb\x00\n" * number]) for number in range(50)]
    texts[17] = ("17", [b"token " + secret])
    texts[33] = ("33", [b"\x7fELF\x00\n\n" + secret + b"\n"])
    assert scanner.scan(texts).keys() == {"17", "33"}


def test_secret_behind_bytes_of_another_format_is_found() -> None:
    """Scanners guess encodings and formats by the first bytes, which an image chooses."""
    secret = SECRETS["NVIDIA"].encode()
    begins = {"zip": b"PK\x03\x04", "BOM": b"\xff\xfe", "UTF-16": b"a\x00" * 500_000}
    texts = [(name, [begin, secret]) for name, begin in begins.items()]
    assert scanner.scan(texts).keys() == begins.keys()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/opt/venv/lib/python3.13/site-packages/a.py", {"github"}),
        ("/usr/local/lib/python3.13/urllib/request.py", {"github"}),
        ("/app/node_modules/a/README.md", {"github"}),
        ("/app/main.py", {"github", "url with a password"}),
        ("/app/site-packages", {"github", "url with a password"}),
    ],
)
def test_examples_are_left_out_in_folders_of_packages(path: str, expected: set[str]) -> None:
    found = {path: {"github", "url with a password"}, "/usr/lib/python3/key": {"betterleaks.jwt"}}
    assert scanner.without_examples(found) == {path: expected}


def many_secrets(count: int) -> bytes:
    return "".join(f"ghp_{number:05}{'qP7zKw2Rt9' * 3}x\n" for number in range(count)).encode()


def test_no_more_findings_than_the_limit_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [("first", [many_secrets(20)]), ("second", [many_secrets(1)])]
    rules = {"betterleaks.github-pat"}
    assert scanner.scan(texts) == {"first": rules, "second": rules}
    monkeypatch.setattr(scanner, "MAX_FINDINGS", 5)
    found = scanner.scan(texts)
    assert found[scanner.ALL] == {"more than 5 secrets, which are not all listed"}


@pytest.mark.parametrize(("count", "is_refused"), [(100, False), (80_000, True)])
def test_scanner_that_needs_too_much_memory_is_a_finding(
    count: int, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner, "MAX_MEMORY", 256 << 20)
    found = scanner.scan([("x", [many_secrets(count)])])
    refused = {scanner.ALL: {"more secrets than fit in 256 MiB, which are not listed"}}
    assert found == (refused if is_refused else {"x": {"betterleaks.github-pat"}})
