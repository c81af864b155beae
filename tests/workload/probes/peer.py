"""A server that returns what it receives; it prints its port once it listens."""

import socketserver


class Reply(socketserver.BaseRequestHandler):
    """Returns what a client sends, until the client ends."""

    def handle(self) -> None:
        """Serve one client."""
        while data := self.request.recv(4):
            self.request.sendall(data)


with socketserver.ThreadingTCPServer(("", 0), Reply) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
