"""Keeps sockets open in an endless loop, and prints as JSON what each of them does.

With an address and a port it also connects to that peer, which returns what it receives.
"""

import json
import socket
import sys
import time
from collections.abc import Callable

TIMEOUT_SECONDS = 3
Check = Callable[[], str]


def echoed(near: socket.socket, far: socket.socket) -> Check:
    """Return a check that bytes reach the other end."""

    def check() -> str:
        near.sendall(b"ping")
        return "works" if far.recv(4) == b"ping" else "ended"

    return check


def returned(peer: socket.socket) -> Check:
    """Return a check that the peer returns what it receives."""
    return echoed(peer, peer)


def connected(peer: tuple[str, int]) -> Check:
    """Return a check that a new connection to the peer works."""

    def check() -> str:
        with socket.create_connection(peer) as connection:
            return returned(connection)()

    return check


def accepted(server: socket.socket) -> Check:
    """Return a check that a listening socket accepts a new connection."""

    def check() -> str:
        with socket.create_connection(server.getsockname(), TIMEOUT_SECONDS):
            connection, _ = server.accept()
            connection.close()
        return "works"

    return check


def received(server: socket.socket) -> Check:
    """Return a check that a UDP socket receives."""

    def check() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"ping", server.getsockname())
            return "works" if server.recv(4) == b"ping" else "ended"

    return check


def opened(peer: tuple[str, int] | None) -> dict[str, Check]:
    """Open every kind of socket, and return its check by its name."""
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    connection, _ = server.accept()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    checks = {
        "Unix": echoed(*socket.socketpair()),
        "TCP in the sandbox": echoed(client, connection),
        "TCP that listens": accepted(server),
        "UDP": received(udp),
    }
    if peer:
        checks["TCP to the outside"] = returned(socket.create_connection(peer))
        checks["new TCP to the outside"] = connected(peer)
    return checks


def outcome(check: Check) -> str:
    """Return what a check finds, or its error."""
    try:
        return check()
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Print a line for each round of checks."""
    peer = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else None
    checks = opened(peer)
    while True:
        print(json.dumps({name: outcome(check) for name, check in checks.items()}), flush=True)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
