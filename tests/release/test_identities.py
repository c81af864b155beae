"""Does a release that an identity signed verify offline, and is every other one refused?"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import authorities, small_releases
from tests.support.authorities import END, IDENTITY, ISSUER, START, Authorities, Signing
from tests.support.small_releases import Factory
from worker_images.errors import PolicyError
from worker_images.files import ROOT
from worker_images.harness.options import not_run
from worker_images.release import cosign
from worker_images.release.cosign import Signer, Verifier
from worker_images.release.drafts import Draft
from worker_images.release.registry import as_json
from worker_images.release.statements import SIGNATURE

SECOND = timedelta(seconds=1)
AUTHORITY = "its certificate is not from a trusted authority"
LOG = "not in a transparency log"
CHANGED = "changed after it was signed"
EXPIRED = "expired: its certificate was not valid when it was signed"


@dataclass(frozen=True)
class Identified(Signer):
    """Signs as an identity of private authorities."""

    own: Authorities = field(default_factory=lambda: Authorities(Path()))
    signing: Signing = field(default_factory=Signing)

    def sign(self, digest: str, kind: str, predicate: object, name: str) -> bytes:
        found = {
            "_type": cosign.STATEMENTS[1],
            "subject": [{"name": name, "digest": {"sha256": digest[7:]}}],
            "predicateType": kind,
            "predicate": predicate,
        }
        return self.own.bundle(as_json(found), self.signing)


Sign = Callable[..., bytes]


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return authorities.make(tmp_path_factory.mktemp("trusted") / "keys")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return authorities.make(tmp_path_factory.mktemp("other") / "keys")


@pytest.fixture
def draft(factory: Factory) -> Draft:
    return factory.draft()


@pytest.fixture
def verifier(trusted: Authorities, factory: Factory, tmp_path: Path) -> Verifier:
    root = trusted.root(tmp_path / "root.json")
    return Verifier(factory.tools, None, IDENTITY, ISSUER, root)


@pytest.fixture
def sign(trusted: Authorities, factory: Factory, draft: Draft) -> Sign:
    """Sign the draft."""

    def bundle(**changes: Any) -> bytes:  # noqa: ANN401 - fields of Signing
        signer = Identified(factory.tools, None, trusted, replace(Signing(), **changes))
        return signer.sign(draft.digest, SIGNATURE, {}, draft.tag)

    return bundle


@pytest.mark.parametrize("at", [START, START + 12 * timedelta(hours=1), END])
def test_signature_of_an_identity_verifies(
    at: object, sign: Sign, verifier: Verifier, draft: Draft
) -> None:
    """A control of the refusals; the certificate was valid for one day, which is over."""
    assert verifier.verify(sign(at=at), draft.index).kind == SIGNATURE


@pytest.mark.parametrize("at", [START - SECOND, END + SECOND])
def test_signature_outside_of_the_certificates_validity_is_refused_as_expired(
    at: object, sign: Sign, verifier: Verifier, draft: Draft
) -> None:
    with pytest.raises(PolicyError) as refused:
        verifier.verify(sign(at=at), draft.index)
    assert str(refused.value) == EXPIRED


WRONG = {
    "identity": ({"identity": "https://example.org/other"}, "signed by another identity"),
    "prefix": ({"identity": IDENTITY[:-1]}, "signed by another identity"),
    "issuer": (
        {"issuer": "https://other.example.org"},
        "another issuer vouches for the identity that signed",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_signature_of_another_identity_or_issuer_is_refused(
    case: str, sign: Sign, verifier: Verifier, draft: Draft
) -> None:
    changes, reason = WRONG[case]
    bundle = sign(**changes)
    with pytest.raises(PolicyError) as refused:
        verifier.verify(bundle, draft.index)
    assert str(refused.value) == reason
    named = {"identity": IDENTITY, "issuer": ISSUER, **changes}
    own = replace(verifier, identity=named["identity"], issuer=named["issuer"])
    assert own.verify(bundle, draft.index).kind == SIGNATURE


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("certificateAuthorities", AUTHORITY),
        ("ctlogs", f"{AUTHORITY}: no log of certificates has it"),
        ("tlogs", LOG),
    ],
)
def test_signature_of_another_authority_is_refused(
    part: str, reason: str, sign: Sign, verifier: Verifier, other: Authorities, draft: Draft
) -> None:
    root = verifier.trusted_root
    assert root
    theirs = json.loads(other.root(root.with_name("other.json")).read_text())
    root.write_text(json.dumps({**json.loads(root.read_text()), part: theirs[part]}))
    with pytest.raises(PolicyError) as refused:
        verifier.verify(sign(), draft.index)
    assert str(refused.value) == reason


def _statement(bundle: dict[str, Any]) -> None:
    envelope = bundle["dsseEnvelope"]
    found = json.loads(base64.b64decode(envelope["payload"])) | {"predicate": {"a": 1}}
    envelope["payload"] = authorities.text(json.dumps(found).encode())


def _entry(bundle: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


def _later(bundle: dict[str, Any]) -> None:
    entry = _entry(bundle)
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 1)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "statement": (_statement, CHANGED),
    "signature": (
        lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(
            sig=authorities.text(70 * b"0")
        ),
        CHANGED,
    ),
    "time of the log": (_later, LOG),
    "no promise of the log": (lambda bundle: _entry(bundle).pop("inclusionPromise"), LOG),
    "no proof of the log": (lambda bundle: _entry(bundle).pop("inclusionProof"), LOG),
    "no entry of the log": (
        lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[]),
        LOG,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_bundle_of_an_identity_is_refused(
    change: str, sign: Sign, verifier: Verifier, draft: Draft
) -> None:
    edit, reason = CHANGES[change]
    bundle = json.loads(sign())
    edit(bundle)
    with pytest.raises(PolicyError) as refused:
        verifier.verify(json.dumps(bundle).encode(), draft.index)
    assert str(refused.value) == reason


def test_signature_about_another_image_is_refused(
    sign: Sign, verifier: Verifier, factory: Factory
) -> None:
    with pytest.raises(PolicyError, match="it is about another image"):
        verifier.verify(sign(), factory.draft("two").index)


def test_identity_and_key_do_not_replace_each_other(
    sign: Sign, verifier: Verifier, factory: Factory, draft: Draft
) -> None:
    with_key = factory.signer().sign(draft.digest, SIGNATURE, {}, draft.tag)
    with pytest.raises(PolicyError, match="signed with a key, not by an identity"):
        verifier.verify(with_key, draft.index)
    with pytest.raises(PolicyError, match="signed by an identity, not with a key"):
        factory.verifier.verify(sign(), draft.index)


def test_release_of_an_identity_verifies_without_a_network(
    trusted: Authorities,
    verifier: Verifier,
    factory: Factory,
    draft: Draft,
    pytestconfig: pytest.Config,
) -> None:
    """The command needs a copy of the authorities, and says so."""
    if os.geteuid():
        not_run(pytestconfig, "release", "a network namespace needs root")
    signer = Identified(factory.tools, None, trusted)
    folder = small_releases.composed(factory, draft, signer=signer).folder
    command = ["unshare", "--net", sys.executable, "build.py", "verify-release"]
    command += [f"oci:{folder}:{draft.tag}", "--issuer", ISSUER, "--identity"]

    def run(identity: str, *words: str) -> "subprocess.CompletedProcess[str]":
        line = [*command, identity, *words]
        settings = {**os.environ, "HOME": str(folder.parent)}
        settings["XDG_CACHE_HOME"] = str(factory.tools.folder.parents[2])
        return subprocess.run(
            line, cwd=ROOT, capture_output=True, text=True, check=False, env=settings
        )

    root = f"--trusted-root={verifier.trusted_root}"
    found = run(IDENTITY, root, "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["digest"] == draft.digest
    for words, reason in (
        (["https://example.org/other", root], "signed by another identity"),
        ([IDENTITY], "cannot be fetched; name a copy of them with --trusted-root"),
    ):
        refused = run(*words)
        assert refused.returncode == 7, refused.stderr
        assert reason in refused.stderr
