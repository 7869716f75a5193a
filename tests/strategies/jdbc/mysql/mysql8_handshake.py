"""The first minutes of a connection to MySQL 8: the handshake with its authentication plug-ins, as MySQL documents the protocol.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html and, for `caching_sha2_password`,
https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html. No registry has the server itself.
"""

import hashlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

VERSION = "8.4.3"
SSL = 0x0800
CAPABILITIES = 0x1 | 0x2 | 0x4 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x10000 | 0x20000 | 0x80000 | 0x100000 | 0x200000
KEY = rsa.generate_private_key(65537, 2048)
OK = b"\x00\x00\x00\x02\x00\x00\x00"
EOF_PACKET = b"\xfe\x00\x00\x02\x00"


class HandshakeServer:
    """`plugin`: the account's. The server's default is `caching_sha2_password`, for which it knows no cached password at first."""

    def __init__(self, password: str, plugin: str, pem: Path | None) -> None:
        self._password = password.encode()
        self._plugin = plugin.encode()
        self._context: ssl.SSLContext | None = None
        if pem is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pem)
        self._is_cached = False
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                try:
                    self._serve(client)
                except (OSError, EOFError, ValueError):
                    continue

    def _serve(self, client: socket.socket) -> None:
        self._number = 0
        salt = os.urandom(20).replace(b"\0", b"x")
        flags = CAPABILITIES | (SSL if self._context else 0)
        self._send(
            client,
            b"\x0a" + VERSION.encode() + b"\0" + struct.pack("<I", 7) + salt[:8] + b"\0" + struct.pack("<H", flags & 0xFFFF)
            + b"\xff" + struct.pack("<H", 2) + struct.pack("<H", flags >> 16) + b"\x15" + bytes(10) + salt[8:] + b"\0"
            + b"caching_sha2_password\0",
        )  # fmt: skip
        answer = self._receive(client)
        if struct.unpack("<I", answer[:4])[0] & SSL and self._context is not None:
            with self._context.wrap_socket(client, server_side=True) as secure:
                self._log_in(secure, salt, self._receive(secure))
        else:
            self._log_in(client, salt, answer)

    def _log_in(self, client: socket.socket, salt: bytes, answer: bytes) -> None:
        rest = answer[32:].partition(b"\0")[2]
        response = rest[1 : 1 + rest[0]]
        is_good = self._authenticate(client, salt, response)
        if not is_good:
            self._send(client, b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied for user 'app'")
            return
        self._send(client, OK)
        self._answer_queries(client)

    def _authenticate(self, client: socket.socket, salt: bytes, response: bytes) -> bool:
        if self._plugin == b"mysql_native_password":
            self._send(client, b"\xfe" + self._plugin + b"\0" + salt + b"\0")
            once = hashlib.sha1(self._password).digest()
            twice = hashlib.sha1(salt + hashlib.sha1(once).digest()).digest()
            return self._receive(client) == bytes(a ^ b for a, b in zip(once, twice, strict=True))
        if self._plugin == b"mysql_clear_password":
            self._send(client, b"\xfe" + self._plugin + b"\0")
            return self._receive(client) == self._password + b"\0"
        once = hashlib.sha256(self._password).digest()
        mask = hashlib.sha256(hashlib.sha256(once).digest() + salt).digest()
        is_right = response == bytes(a ^ b for a, b in zip(once, mask, strict=True))
        if self._is_cached:
            self._send(client, b"\x01\x03")
            return is_right
        self._send(client, b"\x01\x04")  # the whole password, through TLS or encrypted
        answer = self._receive(client)
        if answer == b"\x02":
            public = KEY.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            self._send(client, b"\x01" + public)
            oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
            masked = KEY.decrypt(self._receive(client), oaep)
            answer = bytes(byte ^ salt[n % len(salt)] for n, byte in enumerate(masked))
        self._is_cached = answer == self._password + b"\0"
        return self._is_cached

    def _answer_queries(self, client: socket.socket) -> None:
        while True:
            self._number = 0
            command = self._receive(client)
            if command[:1] == b"\x01":
                return
            if b"SELECT version()" not in command:
                self._send(client, OK)
                continue
            text = VERSION.encode()
            column = b"".join(bytes([len(part)]) + part for part in (b"def", b"", b"", b"", b"version()", b""))
            column += b"\x0c\xff\x00" + struct.pack("<I", 240) + b"\xfd\x00\x00\x1f\x00\x00"
            for packet in (b"\x01", column, EOF_PACKET, bytes([len(text)]) + text, EOF_PACKET):
                self._send(client, packet)

    def _send(self, client: socket.socket, content: bytes) -> None:
        client.sendall(struct.pack("<I", len(content))[:3] + bytes([self._number]) + content)
        self._number += 1

    def _receive(self, client: socket.socket) -> bytes:
        head = self._read(client, 4)
        self._number = head[3] + 1
        content = self._read(client, int.from_bytes(head[:3], "little"))
        self.received.append(content)
        return content

    def _read(self, client: socket.socket, count: int) -> bytes:
        content = b""
        while len(content) < count:
            chunk = client.recv(count - len(content))
            if not chunk:
                raise EOFError
            content += chunk
        return content


@contextmanager
def handshake_server(password: str, plugin: str, pem: Path | None = None) -> Iterator[HandshakeServer]:
    server = HandshakeServer(password, plugin, pem)
    try:
        yield server
    finally:
        server.close()
