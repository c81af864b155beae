"""Do the secrets of the machine that releases appear in anything that it writes or publishes?"""

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.docker_registry import PASSWORD
from tests.torture.runs import run
from worker_images.files import ROOT

VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "PIP_PASSWORD",
    "NPM_TOKEN",
    "SSH_PRIVATE_KEY",
    "VAULT_TOKEN",
)
GZIP = b"\x1f\x8b"


def canary(name: str) -> str:
    """A secret that occurs nowhere else."""
    return f"canary-{name.lower().replace('_', '-')}-5f1e7b"


@pytest.fixture
def canaries(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, bytes]]:
    """Twelve secrets in the environment, in files of the user and of the checkout."""
    for name in VARIABLES:
        monkeypatch.setenv(name, canary(name))
    proxy = f"http://user:{canary('proxy')}@127.0.0.1:9"
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / ".netrc").write_text(f"machine example.org login a password {canary('netrc')}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    env = ROOT / ".env"
    assert not env.exists()
    env.write_text(f"TOKEN={canary('env-file')}\n")
    try:
        named = {name: canary(name).encode() for name in (*VARIABLES, "proxy", "netrc", "env-file")}
        private = key.with_suffix(".key").read_bytes().splitlines()[1]
        yield named | {"registry password": PASSWORD.encode(), "signing key": private}
    finally:
        env.unlink()


def test_no_secret_is_written_or_published(
    registry_address: str,
    key: Path,
    data: Path,
    canaries: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    assert len(canaries) == 12
    target = f"{registry_address}/team/canaries"
    # Every stage is built again, with the secrets in the environment.
    built = run(["--variant", "slim", "--no-cache"])
    assert built.returncode == 0, built.stderr
    options = ["--arch", "amd64", "--to", target, "--version", "1"]
    signing = ["--key", str(key.with_suffix(".key"))]
    released = run(["release", "--variant", "slim", *options, *signing])
    assert released.returncode == 0, released.stderr
    notes = run(["release-notes", "1"])
    printed = [each for done in (built, released, notes) for each in (done.stdout, done.stderr)]
    texts = {f"output {number}": text.encode() for number, text in enumerate(printed)}
    texts |= {str(path): text for path, text in files(data / "data", ROOT / "out/slim")}
    texts |= {str(path): text for path, text in files(ROOT / "out/release/1")}
    assert len(texts) > 20
    found = [
        f"{name} in {where}"
        for where, text in texts.items()
        for name, secret in canaries.items()
        if secret in text
    ]
    assert found == []
    record_property("seen", f"{len(canaries)} secrets, none in {len(texts)} files and outputs")


def test_secrets_in_a_compressed_file_and_in_a_statement_are_found(tmp_path: Path) -> None:
    """A control of the search."""
    secret = canary("GITHUB_TOKEN").encode()
    (tmp_path / "blob").write_bytes(gzip.compress(secret))
    payload = base64.b64encode(secret).decode()
    (tmp_path / "bundle").write_text(json.dumps({"dsseEnvelope": {"payload": payload}}))
    found = [text for _, text in files(tmp_path)]
    assert found.count(secret) == 2


def files(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    """Each file below the folders, unpacked if it is compressed, and each signed statement."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                is_gzip = content.startswith(GZIP)
                yield path, zlib.decompress(content, 31) if is_gzip else content
                if b'"dsseEnvelope"' in content:
                    envelope = json.loads(content)["dsseEnvelope"]
                    yield path, base64.b64decode(envelope["payload"])
