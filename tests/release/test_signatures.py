"""Is a statement that was not signed by the expected key, for this image, refused with a reason?"""

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import small_releases
from tests.support.small_releases import Workshop
from worker_images.errors import PolicyError
from worker_images.release import cosign, examine, layout, publish, verify
from worker_images.release.cosign import Verifier
from worker_images.release.drafts import Draft
from worker_images.release.statements import NAMES, PROVENANCE, SIGNATURE

# A certificate that has expired, of an authority that has not.
IDENTITY = """\
set -eu
cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $key -days 2 -keyout ca.key -out ca.pem -subj /CN=ca \\
  -addext keyUsage=critical,keyCertSign
openssl req $key -keyout leaf.key -out leaf.csr -subj /
cat > extensions <<END
basicConstraints=critical,CA:false
keyUsage=critical,digitalSignature
extendedKeyUsage=codeSigning
subjectAltName=critical,URI:https://example.org/workflow
1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://issuer.example.org
END
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -days -1 -extfile extensions \\
  -outform DER -out leaf.der
openssl x509 -in ca.pem -outform DER -out ca.der
"""
Edit = Callable[[dict[str, Any]], object]


def _statement(bundle: dict[str, Any], **changes: object) -> None:
    """Change the signed statement."""
    envelope = bundle["dsseEnvelope"]
    found = json.loads(base64.b64decode(envelope["payload"]))
    envelope["payload"] = base64.b64encode(json.dumps(found | changes).encode()).decode()


CHANGED = "not signed with this key, or changed after it was signed"
# Changes of a bundle, and the reason of the refusal.
CHANGES: dict[str, tuple[Edit, str]] = {
    "predicate": (lambda bundle: _statement(bundle, predicate={"changed": True}), CHANGED),
    "predicate type": (lambda bundle: _statement(bundle, predicateType=PROVENANCE), CHANGED),
    "subject": (lambda bundle: _statement(bundle, subject=[]), CHANGED),
    "type": (lambda bundle: _statement(bundle, _type="https://example.org/other"), CHANGED),
    "payload type": (
        lambda bundle: bundle["dsseEnvelope"].update(payloadType="application/json"),
        CHANGED,
    ),
    "signature": (
        lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(
            sig=base64.b64encode(b"0" * 70).decode()
        ),
        CHANGED,
    ),
    "no signature": (
        lambda bundle: bundle["dsseEnvelope"].update(signatures=[]),
        "signature",
    ),
    "no envelope": (lambda bundle: bundle.pop("dsseEnvelope"), "not a valid Sigstore bundle"),
    "other bundle version": (
        lambda bundle: bundle.update(mediaType="application/vnd.dev.sigstore.bundle.v9+json"),
        "bundle",
    ),
    "payload is not base64": (
        lambda bundle: bundle["dsseEnvelope"].update(payload="%"),
        "not a valid Sigstore bundle",
    ),
}


@pytest.fixture
def draft(workshop: Workshop) -> Draft:
    return workshop.draft()


@pytest.fixture
def bundle(workshop: Workshop, draft: Draft) -> bytes:
    """A signature of the draft."""
    return workshop.signer().sign(draft.digest, SIGNATURE, {}, draft.tag)


def test_signature_verifies(workshop: Workshop, draft: Draft, bundle: bytes) -> None:
    """A control of all refusals."""
    assert workshop.verifier.verify(bundle, draft.index).kind == SIGNATURE


@pytest.mark.parametrize("change", CHANGES)
def test_changed_bundle_is_refused(
    change: str, workshop: Workshop, draft: Draft, bundle: bytes
) -> None:
    edit, reason = CHANGES[change]
    edited = json.loads(bundle)
    edit(edited)
    with pytest.raises(PolicyError, match=reason):
        workshop.verifier.verify(json.dumps(edited).encode(), draft.index)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\x00", b'{"dsseEnvelope": {}}'])
def test_bundle_that_is_none_is_refused(workshop: Workshop, draft: Draft, data: bytes) -> None:
    with pytest.raises(PolicyError):
        workshop.verifier.verify(data, draft.index)


def test_bundle_of_another_image_is_refused(workshop: Workshop, bundle: bytes) -> None:
    with pytest.raises(PolicyError, match="it is about another image"):
        workshop.verifier.verify(bundle, workshop.draft("two").index)


def test_statement_about_two_images_is_refused(bundle: bytes, draft: Draft) -> None:
    """cosign accepts a statement if one of its subjects is the image."""
    edited = json.loads(bundle)
    other = {"name": "other", "digest": {"sha256": 64 * "0"}}
    _statement(edited, subject=[{"name": "own", "digest": {"sha256": draft.digest[7:]}}, other])
    with pytest.raises(PolicyError, match="it is about another image"):
        cosign.statement(json.dumps(edited).encode(), draft.digest)


def test_signature_of_another_key_is_refused(
    workshop: Workshop, draft: Draft, bundle: bytes
) -> None:
    _, other = cosign.make_key(workshop.tools, workshop.folder / "other")
    with pytest.raises(PolicyError, match="not signed with this key"):
        Verifier(workshop.tools, key=other).verify(bundle, draft.index)


def identified(folder: Path, statement: bytes) -> bytes:
    """A bundle that an identity signed, with a certificate of a private CA and no log entry."""
    subprocess.run(["sh", "-c", IDENTITY, "sh", str(folder)], capture_output=True, check=True)
    kind = "application/vnd.in-toto+json"
    signed = f"DSSEv1 {len(kind)} {kind} {len(statement)} ".encode() + statement
    command = ["openssl", "dgst", "-sha256", "-sign", str(folder / "leaf.key")]
    done = subprocess.run(command, input=signed, capture_output=True, check=True)
    texts = [(folder / "leaf.der").read_bytes(), statement, done.stdout]
    certificate, payload, signature = (base64.b64encode(each).decode() for each in texts)
    bundle = {
        "mediaType": cosign.BUNDLE,
        "verificationMaterial": {"certificate": {"rawBytes": certificate}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": payload,
            "payloadType": kind,
            "signatures": [{"sig": signature}],
        },
    }
    return json.dumps(bundle).encode()


def trusting(folder: Path, workshop: Workshop) -> Verifier:
    """A verifier that trusts the private CA, offline."""
    authority = base64.b64encode((folder / "ca.der").read_bytes()).decode()
    root = {
        **cosign.NO_AUTHORITIES,
        "certificateAuthorities": [
            {
                "uri": "https://ca.example.org",
                "certChain": {"certificates": [{"rawBytes": authority}]},
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            }
        ],
    }
    (folder / "root.json").write_text(json.dumps(root))
    identity, issuer = "https://example.org/workflow", "https://issuer.example.org"
    return Verifier(workshop.tools, None, identity, issuer, folder / "root.json")


def test_identity_and_key_do_not_replace_each_other(
    workshop: Workshop, draft: Draft, bundle: bytes, tmp_path: Path
) -> None:
    """An identity's certificate that has expired counts only with the time of a log entry."""
    payload = base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])
    other = identified(tmp_path, payload)
    verifier = trusting(tmp_path, workshop)
    for use, signed, reason in (
        (verifier, bundle, "signed with a key, not by an identity"),
        (workshop.verifier, other, "signed by an identity, not with a key"),
        (verifier, other, "not in a transparency log"),
    ):
        with pytest.raises(PolicyError, match=reason):
            use.verify(signed, draft.index)


@pytest.mark.parametrize("kind", [PROVENANCE, SIGNATURE])
def test_statement_of_another_type_under_the_right_name_is_refused(
    kind: str, workshop: Workshop, draft: Draft
) -> None:
    """The annotation names the type that a release needs; the signed type counts."""
    sound = layout.repository(workshop.tools, small_releases.composed(workshop, draft, {}))
    verify.verify(sound, ":1.0-slim", workshop.verifier, (), lambda _: None)
    other = small_releases.composed(workshop, draft, {kind: "https://example.org/other"})
    place = layout.repository(workshop.tools, other)
    with pytest.raises(PolicyError, match=f"no {NAMES[kind]}"):
        verify.verify(place, ":1.0-slim", workshop.verifier, (), lambda _: None)


def test_attestation_of_another_release_is_refused(workshop: Workshop, draft: Draft) -> None:
    """The attestations of one image are copied to another one."""
    local = publish.compose(draft, workshop.folder / "layout-swapped")
    other = workshop.draft("two")
    subject = layout.descriptor(layout.INDEX, draft.digest, len(draft.index))
    for each in small_releases.statements(other):
        bundle = workshop.signer().sign(other.digest, each.kind, each.predicate, other.tag)
        entry = local.attach(subject, bundle, each.kind, small_releases.CREATED)
        local = local.with_entries(entry)
    place = layout.repository(workshop.tools, local)
    with pytest.raises(PolicyError) as refused:
        verify.verify(place, ":1.0-slim", workshop.verifier, (), lambda _: None)
    assert str(refused.value).count("it is about another image") == 4
    assert refused.value.exit_code == 7


def test_release_of_one_variant_is_not_accepted_as_another(workshop: Workshop) -> None:
    """The image's own label counts."""
    slim = workshop.draft()
    named = replace(
        slim,
        annotations={**slim.annotations, examine.VARIANT: "full"},
        variant="full",
    )
    index = layout.index_of([part.candidate for part in slim.parts], named.annotations)
    false = replace(named, index=index)
    place = layout.repository(workshop.tools, small_releases.composed(workshop, false, {}))
    with pytest.raises(PolicyError, match="its label says slim"):
        verify.verify(place, ":1.0-slim", workshop.verifier, (), lambda _: None)
