"""Is a statement that was not signed by the expected key, for this image, refused with a reason?"""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support import small_releases
from tests.support.small_releases import Factory
from worker_images.errors import PolicyError
from worker_images.release import cosign, examine, layout, publish, verify
from worker_images.release.cosign import Verifier
from worker_images.release.drafts import Draft
from worker_images.release.statements import NAMES, PROVENANCE, SIGNATURE

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
def draft(factory: Factory) -> Draft:
    return factory.draft()


@pytest.fixture
def bundle(factory: Factory, draft: Draft) -> bytes:
    """A signature of the draft."""
    return factory.signer().sign(draft.digest, SIGNATURE, {}, draft.tag)


def test_signature_verifies(factory: Factory, draft: Draft, bundle: bytes) -> None:
    """A control of all refusals."""
    assert factory.verifier.verify(bundle, draft.index).kind == SIGNATURE


@pytest.mark.parametrize("change", CHANGES)
def test_changed_bundle_is_refused(
    change: str, factory: Factory, draft: Draft, bundle: bytes
) -> None:
    edit, reason = CHANGES[change]
    edited = json.loads(bundle)
    edit(edited)
    with pytest.raises(PolicyError, match=reason):
        factory.verifier.verify(json.dumps(edited).encode(), draft.index)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\x00", b'{"dsseEnvelope": {}}'])
def test_malformed_bundle_is_refused(factory: Factory, draft: Draft, data: bytes) -> None:
    with pytest.raises(PolicyError):
        factory.verifier.verify(data, draft.index)


def test_bundle_of_another_image_is_refused(factory: Factory, bundle: bytes) -> None:
    with pytest.raises(PolicyError, match="it is about another image"):
        factory.verifier.verify(bundle, factory.draft("two").index)


def test_statement_about_two_images_is_refused(bundle: bytes, draft: Draft) -> None:
    """cosign accepts a statement if one of its subjects is the image."""
    edited = json.loads(bundle)
    other = {"name": "other", "digest": {"sha256": 64 * "0"}}
    _statement(edited, subject=[{"name": "own", "digest": {"sha256": draft.digest[7:]}}, other])
    with pytest.raises(PolicyError, match="it is about another image"):
        cosign.statement(json.dumps(edited).encode(), draft.digest)


def test_signature_of_another_key_is_refused(factory: Factory, draft: Draft, bundle: bytes) -> None:
    _, other = cosign.make_key(factory.tools, factory.folder / "other")
    with pytest.raises(PolicyError, match="not signed with this key"):
        Verifier(factory.tools, key=other).verify(bundle, draft.index)


@pytest.mark.parametrize("kind", [PROVENANCE, SIGNATURE])
def test_statement_of_another_type_under_the_right_name_is_refused(
    kind: str, factory: Factory, draft: Draft
) -> None:
    """The annotation names the type that a release needs; the signed type counts."""
    sound = layout.repository(factory.tools, small_releases.composed(factory, draft, {}))
    verify.verify(sound, ":1.0-slim", factory.verifier, (), lambda _: None)
    other = small_releases.composed(factory, draft, {kind: "https://example.org/other"})
    place = layout.repository(factory.tools, other)
    with pytest.raises(PolicyError, match=f"no {NAMES[kind]}"):
        verify.verify(place, ":1.0-slim", factory.verifier, (), lambda _: None)


def test_attestation_of_another_release_is_refused(factory: Factory, draft: Draft) -> None:
    """The attestations of one image are copied to another one."""
    local = publish.compose(draft, factory.folder / "layout-swapped")
    other = factory.draft("two")
    subject = layout.descriptor(layout.INDEX, draft.digest, len(draft.index))
    for each in small_releases.statements(other):
        bundle = factory.signer().sign(other.digest, each.kind, each.predicate, other.tag)
        entry = local.attach(subject, bundle, each.kind, small_releases.CREATED)
        local = local.with_entries(entry)
    place = layout.repository(factory.tools, local)
    with pytest.raises(PolicyError) as refused:
        verify.verify(place, ":1.0-slim", factory.verifier, (), lambda _: None)
    assert str(refused.value).count("it is about another image") == 4
    assert refused.value.exit_code == 7


def test_release_of_one_variant_is_not_accepted_as_another(factory: Factory) -> None:
    """The image's own label counts."""
    slim = factory.draft()
    named = replace(
        slim,
        annotations={**slim.annotations, examine.VARIANT: "full"},
        variant="full",
    )
    index = layout.index_of([part.candidate for part in slim.parts], named.annotations)
    false = replace(named, index=index)
    place = layout.repository(factory.tools, small_releases.composed(factory, false, {}))
    with pytest.raises(PolicyError, match="its label says slim"):
        verify.verify(place, ":1.0-slim", factory.verifier, (), lambda _: None)
