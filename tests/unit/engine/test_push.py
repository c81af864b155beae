"""A push never moves a tag that names another image."""

from pathlib import Path

import pytest

from tests.support import engines
from tests.support.engines import configured
from worker_images.engine import push
from worker_images.engine.daemon import Address
from worker_images.errors import RegistryError

TESTED, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


REFERENCE = "registry.example/team/worker:1"


IMAGE = "/images/registry.example/team/worker:1/json"


REGISTRY = "/distribution/registry.example/team/worker:1/json"


PUSH = "/images/registry.example/team/worker/push"


def test_tag_that_names_another_image_is_not_moved(loopback: engines.Engine) -> None:
    loopback.answer(REGISTRY, {"Descriptor": {"digest": OTHER}})
    with pytest.raises(
        RegistryError, match=f"the tag exists with another image, {OTHER}; choose another tag"
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


def test_tag_that_names_the_image_succeeds_without_a_push(loopback: engines.Engine) -> None:
    loopback.answer(REGISTRY, {"Descriptor": {"digest": TESTED}})
    push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


def test_engine_with_another_digest_for_the_image_does_not_push(loopback: engines.Engine) -> None:
    loopback.answer(IMAGE, {"Id": OTHER})
    with pytest.raises(
        RegistryError, match="would push another manifest than the tested archive's"
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


def test_registry_that_cannot_be_reached_gets_no_push(loopback: engines.Engine) -> None:
    loopback.answer(REGISTRY, {"message": "dial tcp: connection refused"}, 500)
    with pytest.raises(
        RegistryError, match="connection refused; check the registry's name, the network"
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_absent_or_hidden_tag_is_pushed(status: int, loopback: engines.Engine) -> None:
    """Without a login, registries respond alike for hidden and missing repositories."""
    messages = {
        401: "unauthorized",
        403: "denied: requested access to the resource is denied",
        404: "",
        500: "manifest unknown",
    }
    loopback.answer(REGISTRY, {"message": messages[status]}, status)
    loopback.answer(IMAGE, {"Id": TESTED})
    loopback.answer(PUSH, '{"error": "refused here"}\r\n')
    with pytest.raises(RegistryError, match="refused here"):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" in loopback.requests


@pytest.mark.parametrize(
    "settings", [{"credsStore": "nowhere"}, {"credHelpers": {"registry.example": "nowhere"}}]
)
def test_missing_credential_helper_is_reported_with_its_file(
    settings: dict[str, object], loopback: engines.Engine, tmp_path: Path
) -> None:
    configured(tmp_path / "docker", **settings)
    with pytest.raises(
        RegistryError,
        match=rf"{tmp_path}/docker/config\.json: .*docker-credential-nowhere.*credsStore",
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert not [request for request in loopback.requests if request.startswith("POST")]
