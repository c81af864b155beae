"""One question to an engine's socket, with the standard library alone: cheap enough to ask before anything is imported."""

import http.client
import json
import socket
from pathlib import Path

TIMEOUT_SECONDS = 5


def is_local(host: str) -> bool:
    """Whether the address is a socket on this machine."""
    return host.startswith("unix://")


def ask(host: str, path: str) -> dict[str, object] | None:
    """The JSON object behind a path, empty for other text; None where nobody answers or the answer is no."""
    connection = http.client.HTTPConnection("engine", timeout=TIMEOUT_SECONDS)
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(TIMEOUT_SECONDS)
        try:
            channel.connect(str(Path(host.removeprefix("unix://"))))
            connection.sock = channel
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None
    if answer.status != 200:
        return None
    return dict(json.loads(body)) if body.startswith(b"{") else {}
