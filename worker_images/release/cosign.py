"""Signatures over in-toto statements, as Sigstore bundles that cosign makes and verifies.

https://github.com/sigstore/protobuf-specs, https://github.com/in-toto/attestation.
"""

import base64
import binascii
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.errors import ImageBuildError, PolicyError, RegistryError, UsageError
from worker_images.release.registry import as_json
from worker_images.release.tools import Done, Tools
from worker_images.untrusted import UntrustedError, parse_json, shown

# In the first line of a key in PEM.
PUBLIC, PRIVATE, MAX_KEY = b"-----BEGIN PUBLIC KEY-----", b" PRIVATE KEY-----", 1 << 16
NO_NETWORK = ("dial tcp", "no such host", "connection refused", "timeout")
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENTS = ("https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1")
# A trusted root without authorities: a key needs none, and cosign fetches none.
NO_AUTHORITIES = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
# Texts of cosign's errors, with what they mean.
CHANGED = "changed after it was signed"
AUTHORITY = "its certificate is not from a trusted authority"
REASONS = (
    ("do not match threshold", CHANGED),
    ("transparency log signature does not match", CHANGED),
    ("invalid bundle", "not a valid Sigstore bundle"),
    ("proto:", "not a valid Sigstore bundle"),
    ("does not match any digest in statement", "it is about another image"),
    ("none of the expected identities matched", "signed by another identity"),
    ("expected issuer value", "another issuer vouches for the identity that signed"),
    ("no matching CertificateIdentity", "signed by another identity"),
    ("outside certificate validity", "expired: its certificate was not valid when it was signed"),
    ("verified log entries", "not in a transparency log"),
    ("verified log entry", "not in a transparency log"),
    ("inclusion proof missing", "not in a transparency log"),
    ("leaf certificate verification failed", AUTHORITY),
    ("SCT entries", f"{AUTHORITY}: no log of certificates has it"),
    ("tuf", "Sigstore's authorities cannot be fetched; name a copy of them with --trusted-root"),
)


@dataclass(frozen=True)
class Signer:
    """How to sign: with a private key, or without one as the identity of the hosted workflow.

    cosign reads the key's password from COSIGN_PASSWORD.
    """

    tools: Tools
    key: Path | None

    def sign(self, digest: str, kind: str, predicate: object, name: str) -> bytes:
        """Sign a statement about a manifest and return the bundle; raises PolicyError."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "predicate.json").write_bytes(as_json(predicate))
            options = [f"--key={self.key}", "--tlog-upload=false"] if self.key else []
            done = self.tools.run(
                "cosign",
                [
                    "attest-blob",
                    "--yes",
                    "--new-bundle-format",
                    f"--predicate={folder / 'predicate.json'}",
                    f"--type={kind}",
                    f"--hash={digest.removeprefix('sha256:')}",
                    f"--bundle={folder / 'bundle.json'}",
                    *options,
                    name,
                ],
            )
            if done.status:
                raise _signing_error(f"signing {name}@{digest}", done, keyless=not self.key)
            return (folder / "bundle.json").read_bytes()


@dataclass(frozen=True)
class Verifier:
    """Whose signatures count: those of a public key, or of an identity that an issuer vouches for.

    `trusted_root` replaces Sigstore's public authorities, which cosign otherwise fetches.
    """

    tools: Tools
    key: Path | None = None
    identity: str = ""
    issuer: str = ""
    trusted_root: Path | None = None

    @property
    def options(self) -> list[str]:
        """The options of cosign."""
        if self.key:
            return [f"--key={self.key}", "--insecure-ignore-tlog"]
        return [
            f"--certificate-identity={self.identity}",
            f"--certificate-oidc-issuer={self.issuer}",
            *([f"--trusted-root={self.trusted_root}"] if self.trusted_root else []),
        ]

    def verify(self, bundle: bytes, subject: bytes) -> "Statement":
        """Return the statement in a bundle about a manifest; raises PolicyError with the reason."""
        _check_material(bundle, with_key=bool(self.key))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "bundle.json").write_bytes(bundle)
            (folder / "subject").write_bytes(subject)
            options = self.options
            if self.key:
                (folder / "root.json").write_bytes(as_json(NO_AUTHORITIES))
                options.append(f"--trusted-root={folder / 'root.json'}")
            command = ["verify-blob-attestation", "--new-bundle-format", *options]
            command += [f"--bundle={folder / 'bundle.json'}", str(folder / "subject")]
            done = self.tools.run("cosign", command)
        if done.status:
            raise PolicyError(_reason(done, with_key=bool(self.key)))
        return statement(bundle, f"sha256:{hashlib.sha256(subject).hexdigest()}")


@dataclass(frozen=True)
class Statement:
    """What was signed: the type of the predicate, and the predicate."""

    kind: str
    predicate: Any


def statement(bundle: bytes, digest: str) -> Statement:
    """Read the statement in a bundle about a manifest; raises PolicyError.

    cosign checks the signature. It does not compare the predicate's type.
    """
    try:
        envelope = parse_json(bundle)["dsseEnvelope"]
        found = parse_json(base64.b64decode(envelope["payload"], validate=True))
        subjects = [each["digest"] for each in found["subject"]]
        if found["_type"] not in STATEMENTS:
            raise PolicyError(f"not an in-toto statement: {shown(str(found['_type']))}")
        if subjects != [{"sha256": digest.removeprefix("sha256:")}]:
            raise PolicyError("it is about another image")
        return Statement(str(found["predicateType"]), found["predicate"])
    except (UntrustedError, KeyError, TypeError, binascii.Error) as error:
        raise PolicyError(f"not a bundle with an in-toto statement: {error}") from error


def _check_material(bundle: bytes, *, with_key: bool) -> None:
    """Refuse a signature with a key where an identity must have signed, and the reverse."""
    try:
        material = parse_json(bundle)["verificationMaterial"]
        by_identity = not with_key and "publicKey" not in material
        if by_identity or (with_key and "certificate" not in material):
            return
    except (UntrustedError, KeyError, TypeError) as error:
        raise PolicyError(f"not a valid Sigstore bundle: {error}") from error
    signed = "by an identity, not with a key" if with_key else "with a key, not by an identity"
    raise PolicyError(f"signed {signed}")


def check_keys(key: Path | None, *, keyless: bool) -> None:
    """Check that one way of signing was chosen and that the key is one; raises UsageError."""
    if bool(key) == keyless:
        raise UsageError(
            "sign either with --key FILE, or in a hosted workflow with --keyless; make a key with:"
            " ./build.py release-key --output release"
        )
    if not key:
        return
    if not key.is_file():
        fault = "not a file" if key.exists() else "no such file"
        raise UsageError(
            f"--key {key}: {fault}; make a key with: ./build.py release-key --output release"
        )
    with key.open("rb") as file:
        start = file.read(MAX_KEY)
    if PUBLIC in start:
        raise UsageError(f"--key {key}: a public key; sign with the .key file of the pair")
    if PRIVATE not in start:
        raise UsageError(f"--key {key}: not a private key; use one of ./build.py release-key")


def public_key(tools: Tools, key: Path, path: Path) -> Path:
    """Write the public key of a private key to `path`; raises UsageError."""
    done = tools.run("cosign", ["public-key", f"--key={key}"])
    if done.status:
        raise UsageError(f"reading {key}: {_key_fault(done)}")
    path.write_bytes(done.output)
    return path


def make_key(tools: Tools, prefix: Path) -> tuple[Path, Path]:
    """Make a key pair, PREFIX.key and PREFIX.pub; raises UsageError."""
    if not os.environ.get("COSIGN_PASSWORD"):
        raise UsageError("COSIGN_PASSWORD is not set; set it to a password for the new key")
    if not prefix.name or prefix.is_dir():
        raise UsageError(f"--output {str(prefix)!r}: not a file; use a name such as release")
    pair = prefix.with_name(f"{prefix.name}.key"), prefix.with_name(f"{prefix.name}.pub")
    if existing := [str(path) for path in pair if path.exists()]:
        verb = "exist" if len(existing) > 1 else "exists"
        raise UsageError(f"{', '.join(existing)} {verb}; name another key with --output")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    done = tools.run("cosign", ["generate-key-pair", f"--output-key-prefix={prefix}"])
    if done.status:
        raise UsageError(f"making {pair[0]}: {_key_fault(done)}")
    return pair


def _reason(done: Done, *, with_key: bool) -> str:
    known = (reason for text, reason in REASONS if text in done.errors)
    found = next(known, shown(done.message, 300))
    return f"not signed with this key, or {found}" if with_key and found == CHANGED else found


def _signing_error(action: str, done: Done, *, keyless: bool) -> ImageBuildError:
    if not keyless:
        return UsageError(f"{action}: {_key_fault(done)}")
    if any(text in done.errors for text in NO_NETWORK):
        cause = shown(done.message, 300)
        return RegistryError(f"{action}: {cause}; Sigstore cannot be reached: check the network")
    return PolicyError(
        f"{action}: {shown(done.message, 300)}; check the id-token permission of the workflow"
    )


def _key_fault(done: Done) -> str:
    if "decrypt" in done.errors:
        return "COSIGN_PASSWORD is not the password of the key"
    if "password" in done.errors:
        return "COSIGN_PASSWORD is not set; set it to the password of the key"
    return shown(done.message, 300)
