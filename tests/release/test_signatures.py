"""Is a statement that was not signed by the expected key, for this image, refused with a reason?"""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support import small_releases
from tests.support.small_releases import Workshop
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
