"""A connection that, without TLS options, uses TLS where the server offers it, and verifies nothing."""

import ssl
from functools import cache
from typing import Any

import pymysql


class Connection(pymysql.Connection):
    """Does not load the machine's trusted certificates, which it would not use: they take 20 ms, and each transaction connects anew."""

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        if not sslp:
            return _unverified_context()
        context: ssl.SSLContext = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        return context


@cache
def _unverified_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
