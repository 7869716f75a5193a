"""A connection that, without TLS options, uses TLS where the server offers it, and verifies nothing."""

import socket
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import pymysql

from ingest_ray.connections.tunnel import LOOPBACK
from ingest_ray.sinks.databases.reach import SinkReach

CONNECT_TIMEOUT_S = 10  # the driver's own


CLEAR_TEXT = 2061  # CR_AUTH_PLUGIN_ERR
NO_CLEAR_TEXT = "the server asks for the password in clear text, and the connection has no TLS"


class ClearPassword:
    """Answers `mysql_clear_password` through TLS or a socket only, as MySQL's own clients want it: else anyone between client and
    server could ask for the password. https://dev.mysql.com/doc/refman/8.4/en/cleartext-pluggable-authentication.html
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, packet: Any) -> Any:
        if not self._connection._secure:
            raise pymysql.err.OperationalError(CLEAR_TEXT, NO_CLEAR_TEXT)
        self._connection.write_packet(self._connection.password + b"\0")
        answer = self._connection._read_packet()
        answer.check_error()
        return answer


class Connection(pymysql.Connection):
    """Does not load the machine's trusted certificates, which it would not use: they take 20 ms, and each transaction connects anew."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, auth_plugin_map={"mysql_clear_password": ClearPassword})

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        if not sslp:
            return _unverified_context()
        context: ssl.SSLContext = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        return context


def connect_by(reach: SinkReach, options: Mapping[str, Any]) -> Any:
    """Through a tunnel, with the certificate still compared with the server's own name; a login's password goes through TLS only."""
    local_port, password = reach.local_port(), reach.password()
    chosen = dict(options)
    if password is not None:
        chosen["password"] = password
        if "unix_socket" not in chosen:
            chosen["ssl"] = _demanded_tls(
                chosen.pop("ssl_ca", None), chosen.pop("ssl_cert", None), chosen.pop("ssl_key", None)
            )
    if local_port is None:
        return Connection(**chosen)
    connection = Connection(**chosen, defer_connect=True)
    connection.connect(
        socket.create_connection((LOOPBACK, local_port), chosen.get("connect_timeout", CONNECT_TIMEOUT_S))
    )
    return connection


def _demanded_tls(authority: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    if authority is None and certificate is None:
        return _unverified_context()
    context = ssl.create_default_context(cafile=authority)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


@cache
def _unverified_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
