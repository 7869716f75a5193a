"""A port on 127.0.0.1 in front of a PostgreSQL that listens on a Unix socket only; with a certificate, it speaks TLS.

https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL: a client asks for TLS before its first message.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class PostgresFront:
    def __init__(self, server_socket: Path, pem: Path | None) -> None:
        self._server_socket = server_socket
        self._context: ssl.SSLContext | None = None
        if pem is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.encrypted = self.plain = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            first = client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL)
            if first == SSL_REQUEST:
                client.recv(8, socket.MSG_WAITALL)
                client.sendall(b"S" if self._context else b"N")
                if self._context is not None:
                    client = self._context.wrap_socket(client, server_side=True)
                    self.encrypted += 1
            if not isinstance(client, ssl.SSLSocket):
                self.plain += 1
            behind = socket.socket(socket.AF_UNIX)
            behind.connect(str(self._server_socket))
        except OSError:
            client.close()
            return
        for source, sink in ((client, behind), (behind, client)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        source.close()


@contextmanager
def postgres_front(folder: Path, pem: Path | None = None) -> Iterator[PostgresFront]:
    front = PostgresFront(folder / ".s.PGSQL.5432", pem)
    try:
        yield front
    finally:
        front.close()
