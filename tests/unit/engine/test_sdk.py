"""Errors of the docker SDK become engine errors."""

import errno
import os
import socket
from pathlib import Path

import pytest

from tests.support import engines
from worker_images.engine import sdk
from worker_images.engine.daemon import Address
from worker_images.errors import EngineError


def test_missing_ca_for_tls_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"{tmp_path}/ca\.pem does not exist; set"):
        sdk.describe(Address("tcp://127.0.0.1:9", tmp_path))


def test_refused_connection_is_an_error_of_one_sentence() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(EngineError) as caught:
            sdk.describe(Address(host))
    assert str(caught.value) == (
        f"cannot connect to the Docker daemon at {host}: connection refused; {sdk.CHECK}"
    )


def test_unknown_host_is_an_error_of_one_sentence() -> None:
    with pytest.raises(EngineError) as caught:
        sdk.describe(Address("tcp://engine.invalid:2375"))
    message = str(caught.value)
    assert message.startswith("cannot connect to the Docker daemon at tcp://engine.invalid:2375: ")
    assert "HTTPConnection" not in message
    assert message.endswith(sdk.CHECK)


def test_error_of_a_file_is_not_an_error_of_the_connection(loopback: engines.Engine) -> None:
    with (
        pytest.raises(EngineError, match=rf"the engine at {loopback.host}: .*No space left"),
        sdk.client_of(Address(loopback.host)),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "body", ['{"errorDetail": {"message": "broken"}}', "[]", '"text"', "7", "plain text", "", "{"]
)
def test_error_that_the_sdk_cannot_read_is_an_engine_error(
    body: str, loopback: engines.Engine
) -> None:
    loopback.answer("/info", body, 500)
    with pytest.raises(EngineError, match=loopback.host):
        sdk.describe(Address(loopback.host))
