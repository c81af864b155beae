"""Errors of the docker SDK are engine errors."""

from pathlib import Path

import pytest

from tests.support import engines
from worker_images.engine import sdk
from worker_images.engine.daemon import Address
from worker_images.errors import EngineError


def test_tls_without_its_authority_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"there is no {tmp_path}/ca\.pem; set DOCKER_CERT_PATH"):
        sdk.describe(Address("tcp://127.0.0.1:9", tmp_path))


@pytest.mark.parametrize(
    "body", ['{"errorDetail": {"message": "broken"}}', "[]", '"text"', "7", "plain text", "", "{"]
)
def test_error_that_the_sdk_cannot_read_is_an_engines(body: str, loopback: engines.Engine) -> None:
    loopback.answer("/info", body, 500)
    with pytest.raises(EngineError, match=loopback.host):
        sdk.describe(Address(loopback.host))
