"""An engine on another machine, through ssh and the docker command there."""

import contextlib
import shutil
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from worker_images.errors import EngineError


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A socket of this machine; each of its connections starts ssh."""

    daemon_threads = True
    command: list[str]


class _Connection(socketserver.BaseRequestHandler):
    """A connection that is forwarded to the other machine's engine."""

    server: _Server

    def handle(self) -> None:
        subprocess.run(self.server.command, stdin=self.request, stdout=self.request, check=False)


def command(host: str) -> list[str]:
    """The command that connects its standard streams to the engine at ssh://[USER@]HOST[:PORT]."""
    address = urlsplit(host)
    # ~/.ssh/config decides what the URL does not contain.
    user = ["-l", address.username] if address.username else []
    port = ["-p", str(address.port)] if address.port else []
    return [
        "ssh",
        *user,
        *port,
        "-T",
        "-o",
        "ConnectTimeout=30",
        "--",
        str(address.hostname),
        "docker",
        "system",
        "dial-stdio",
    ]


@contextlib.contextmanager
def tunnel(host: str) -> Iterator[str]:
    """The URL of a local socket that forwards to the engine, for the block; raises EngineError."""
    if not shutil.which("ssh"):
        raise EngineError(
            f"{host} needs the ssh command, which this machine does not have; install"
            " openssh-client"
        )
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "engine.sock"
        with _Server(str(path), _Connection) as server:
            server.command = command(host)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield f"unix://{path}"
            finally:
                server.shutdown()
                thread.join()
