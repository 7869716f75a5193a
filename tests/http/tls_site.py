"""A TLS server with certificates of its own authority, and a proxy that tunnels (CONNECT) and forwards: both on loopback."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PASSWORD = "key-password"


@dataclass(frozen=True)
class Certificates:
    """`authority` signs `server` (with its key, for 127.0.0.1 and localhost) and `client`, whose key is encrypted."""

    authority: Path
    server: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    root_key, root_name = ec.generate_private_key(ec.SECP256R1()), _name("test authority")
    root = _built(root_name, root_name, root_key, root_key, is_authority=True)
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "client.pem", folder / "client.key")
    files.authority.write_bytes(_pem(root))
    server_key, client_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    server = _built(_name("127.0.0.1"), root_name, server_key, root_key)
    files.server.write_bytes(server_key.private_bytes(*plain, serialization.NoEncryption()) + _pem(server))
    files.client.write_bytes(_pem(_built(_name("reader"), root_name, client_key, root_key)))
    encrypted = serialization.BestAvailableEncryption(PASSWORD.encode())
    files.client_key.write_bytes(client_key.private_bytes(*plain, encrypted))
    return files


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _built(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool = False,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


@dataclass
class Proxy:
    """`targets`: what was asked for. With `login`, requests without it are refused with 407."""

    url: str = ""
    targets: list[str] = field(default_factory=list)
    login: str | None = None


@contextmanager
def proxying(login: str | None = None) -> Iterator[Proxy]:
    proxy = Proxy(login=login)

    class Tunnel(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            if not self.admitted():
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port))) as behind:
                self.send_response(200)
                self.end_headers()
                self.wfile.flush()
                back = threading.Thread(target=pump, args=(behind, self.connection), daemon=True)
                back.start()
                pump(self.connection, behind)
                back.join(5)
            self.close_connection = True

        def do_GET(self) -> None:
            """Forwards a request of plain HTTP."""
            if not self.admitted():
                return
            parts = urlsplit(self.path)
            with socket.create_connection((parts.hostname or "", parts.port or 80)) as behind:
                head = f"{self.command} {parts.path} HTTP/1.0\r\nhost: {parts.netloc}\r\nconnection: close\r\n\r\n"
                behind.sendall(head.encode())
                while part := behind.recv(65536):
                    self.wfile.write(part)
            self.close_connection = True

        def admitted(self) -> bool:
            proxy.targets.append(self.path)
            kind, _, value = self.headers.get("proxy-authorization", "").partition(" ")
            if proxy.login is None or (kind.lower() == "basic" and b64decode(value).decode() == proxy.login):
                return True
            self.send_response(407)
            self.send_header("content-length", "0")
            self.end_headers()
            return False

        def log_message(self, format: str, *args: object) -> None:
            pass

    with served(Tunnel) as server:
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield proxy


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def serving_tls(files: Certificates, *, asks_client: bool = False) -> Iterator[str]:
    """Answers every GET with the name of the client's certificate. Yields the URL."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            subject = dict(pair[0] for pair in (shown or {}).get("subject", ()))  # type: ignore[misc]
            body = b'{"client": "%s"}' % str(subject.get("commonName", "")).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.server)
    if asks_client:
        context.load_verify_locations(files.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    with served(Door, context) as server:
        yield f"https://127.0.0.1:{server.server_address[1]}"


class QuietServer(ThreadingHTTPServer):
    """Handshakes in the thread of the connection; a client that refuses the certificate is no error of the server."""

    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        pass


@contextmanager
def served(door: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[QuietServer]:
    server = QuietServer(("127.0.0.1", 0), door)
    server.tls = tls
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
