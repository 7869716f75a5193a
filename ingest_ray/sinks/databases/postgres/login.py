"""The login of a connection whose messages this process writes itself: only where it needs nothing that libpq alone has."""

import os
import ssl
from getpass import getuser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_KNOWN = frozenset({"host", "port", "sslmode", "sslrootcert", "client_encoding"})
_FILES = ("~/.postgresql/root.crt", "~/.postgresql/postgresql.crt", "~/.pgpass", "~/.pg_service.conf")
_OF_SERVERS = frozenset({"PGDATA"})  # a variable of the server's programs


def plain_login(url: str) -> dict[str, Any] | None:
    """The arguments of pg8000's connection to the driver's `url`; None where the driver has to connect: several hosts, other settings,
    or settings in files or in the environment, https://www.postgresql.org/docs/current/libpq-envars.html."""
    parts = urlsplit(url)
    settings = dict(parse_qsl(parts.query))
    host = settings.get("host") or parts.hostname
    if find_spec("numba") is None or not set(settings) <= _KNOWN or host is None or "," in host or "," in parts.netloc:
        return None
    if any(name.startswith("PG") and name.isupper() and name not in _OF_SERVERS for name in os.environ):
        return None
    if any(Path(file).expanduser().exists() for file in _FILES):
        return None
    try:
        port = int(settings.get("port") or parts.port or 5432)
    except ValueError:
        return None
    user = unquote(parts.username) if parts.username else getuser()
    login: dict[str, Any] = {
        "user": user,
        "database": unquote(parts.path.removeprefix("/")) or user,
        "password": unquote(parts.password) if parts.password else None,
        "startup_params": {"client_encoding": "UTF8"},
    }
    if host.startswith("/"):
        return {**login, "unix_sock": f"{host}/.s.PGSQL.{port}", "ssl_context": False}
    tls = _tls(settings)
    return None if isinstance(tls, str) else {**login, "host": unquote(host), "port": port, "ssl_context": tls}


def _tls(settings: dict[str, str]) -> Any:
    """As pg8000 takes it: None prefers TLS without verification, False has none; a text: the mode is libpq's."""
    mode, root = settings.get("sslmode", "prefer"), settings.get("sslrootcert")
    if mode == "prefer" and root is None:
        return None
    if mode == "disable":
        return False
    if mode not in ("require", "verify-ca", "verify-full") or (root is None and mode != "require"):
        return mode
    context = ssl.create_default_context(cafile=root if root != "system" else None)
    context.check_hostname = mode == "verify-full"
    if root is None:
        context.verify_mode = ssl.CERT_NONE
    return context
