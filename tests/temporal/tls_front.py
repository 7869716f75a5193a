"""A proxy that speaks mutual TLS before a server that does not: TCP on loopback, a thread for each direction."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class TlsFront:
    def __init__(self, backend: str, certificate: Path, key: Path, authority: Path) -> None:
        host, _, port = backend.rpartition(":")
        self._backend = (host, int(port))
        self._own = (certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.trust(authority)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def trust(self, authority: Path) -> None:
        """Clients of new connections need a certificate that this authority signed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._own)
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
        self._context = context

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(60)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as secure:
            with socket.create_connection(self._backend) as server:
                self._open += [secure, server]
                back = threading.Thread(target=_pump, args=(server, secure), daemon=True)
                back.start()
                _pump(secure, server)
                back.join(60)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextmanager
def tls_front(backend: str, certificate: Path, key: Path, authority: Path) -> Iterator[TlsFront]:
    front = TlsFront(backend, certificate, key, authority)
    try:
        yield front
    finally:
        front.close()
