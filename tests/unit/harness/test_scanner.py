"""Secrets of many kinds are found, and no secret is in a message."""

import json

import pytest

from worker_images.harness import scanner

# Made up, and written in parts, so that scanners of this repository do not report them.
SECRETS = {
    "OpenSSH key": "-----BEGIN OPENSSH PRIVATE "
    "KEY-----\n" + "b3BlbnNzaC1rZXktdjEA" * 4 + "\n-----END OPENSSH PRIVATE KEY-----",
    "service account": json.dumps(
        {
            "type": "service_account",
            "private_key": "-----BEGIN PRIVATE "
            "KEY-----\n" + "MIIEvQIBADANBgkqhkiG" * 4 + "\n-----END PRIVATE KEY-----\n",
        }
    ),
    "Hugging Face": "hf_" + "KqWzXvBnTrYpLmSdFgHjCkQeRtUiOaPwEs",
    "Slack": "xoxp-" + "583920174629-194758203948-384756201938-5f1c9e7ab04d2836ef719c5a0b8d3e42",
    "GitHub": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "GitLab": "glpat-" + "x7Kp2Qm9Zt4Wv8Lr3NsB",
    "NVIDIA": "nvapi-" + "q8Zt4Wv7Kp2Qm9x3NsB5yUc1Ef6Gh0Jd" * 2,
    "AWS": "AKIA" + "ABCDEFGH23456722",
    "PostgreSQL": "postgres://admin:" + "s3cretPassw0rd@db.example",
    "registry": '{"auths": {"r": {"auth": "' + 'cm9ib3Q6aHVudGVyMg=="}}}',
    "web": "https://robot:" + "hunter2@registry.example",
}
HARMLESS = (
    b"https://example.org/path?a=1",
    b"-----BEGIN PUBLIC KEY-----\nMIIBIjAN\n-----END PUBLIC KEY-----",
    b"https://user:${PASSWORD}@example.org",
    b"",
)


def test_secrets_of_every_kind_are_found() -> None:
    texts = [(name, [f"x {text} y\n".encode()]) for name, text in SECRETS.items()]
    assert scanner.scan(texts).keys() == SECRETS.keys()


def test_harmless_texts_are_not_reported() -> None:
    assert scanner.scan([(f"{data!r}", [data]) for data in HARMLESS], confidence="low") == {}


@pytest.mark.parametrize("begin", [0, scanner.PIECE - 20])
def test_secret_in_a_large_file_is_found(begin: int) -> None:
    """Also where it lies across two pieces."""
    data = bytearray(b"\n" * (scanner.PIECE * 2))
    secret = SECRETS["GitHub"].encode()
    data[begin : begin + len(secret)] = secret
    chunks = (bytes(data[at : at + (1 << 20)]) for at in range(0, len(data), 1 << 20))
    assert scanner.scan([("large", chunks)]).keys() == {"large"}


def test_secret_is_reported_for_its_file_among_many() -> None:
    """Small files are scanned together, also binary ones and those without a last newline."""
    secret = SECRETS["GitLab"].encode()
    texts = [(f"{number}", [b"a\r\nb\x00\n" * number]) for number in range(50)]
    texts[17] = ("17", [b"token " + secret])
    texts[33] = ("33", [b"\x7fELF\x00\n\n" + secret + b"\n"])
    assert scanner.scan(texts).keys() == {"17", "33"}
