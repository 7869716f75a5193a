"""A receiver of webhooks that keeps what it gets, and answers what a test wants; and one of e-mail."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    def __init__(self, url: str) -> None:
        self.url = url
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        """The status of the next answers; 200 after them."""
        self.refused = 0

    @property
    def messages(self) -> list[Any]:
        return [json.loads(body) for _, body in self.taken]

    def kinds(self, *conditions: str) -> list[tuple[str, str, tuple[str, ...]]]:
        """Type, condition and subjects of each message."""
        return [
            (
                found["type"],
                found["data"]["condition"],
                tuple(incident["subject"] for incident in found["data"]["incidents"]),
            )
            for found in self.messages
            if not conditions or found["data"]["condition"] in conditions
        ]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answers.pop(0) if receiver.answers else 200
            if status == 200:
                receiver.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
            else:
                receiver.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def receiving_mail() -> Iterator[tuple[int, list[str]]]:
    """The port of an SMTP server, and the mails that it took."""
    mails: list[str] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        lines.append(part)
                    mails.append(b"".join(lines).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield int(server.server_address[1]), mails
        finally:
            server.shutdown()
            thread.join()
