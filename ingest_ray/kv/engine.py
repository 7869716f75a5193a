"""SQLAlchemy engines for state: SQLite that several processes share, and PostgreSQL through pg8000.

libpq's URL parameters are accepted where pg8000 has an equivalent:
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

import sqlite3
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from ingest_ray.files.private import make_private_file, make_private_folder
from ingest_ray.sdk.errors import ConfigError, StateUnavailable
from ingest_ray.sdk.missing_packages import missing_package

BUSY_TIMEOUT_S = 30  # a writer holds SQLite's lock for milliseconds; this long means that a process hangs
NETWORK_TIMEOUT_S = 20  # for connecting and for each statement: statements on state are small


def state_engine(text: str, *, autocommit: bool = False) -> sa.Engine:
    """An engine that connects on first use. Raises `ConfigError` for a URL that cannot be a state store.

    Without `autocommit`, a transaction on SQLite takes the write lock when it begins, so that it cannot fail between a read
    and a write; a transaction with the execution option `is_reading` takes none. PostgreSQL always has transactions: behind a
    pooler a statement outside of one may be prepared in one backend and executed in another.
    """
    url = parse(text)
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    try:
        if url.drivername.startswith("sqlite"):
            return _sqlite(url, options, autocommit)
        url, arguments = _libpq(url)
        return sa.create_engine(url, connect_args=arguments, pool_pre_ping=True, pool_size=2)
    except ImportError as error:
        raise missing_package(error, f"state at '{shown(url)}'") or error from None


def parse(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError("the state URL is not an SQLAlchemy URL", hint="such as postgresql://user@host/db") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+pg8000")
    if url.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+pg8000"):
        raise ConfigError(
            f"state cannot be kept in '{url.drivername}'",
            hint="use sqlite:///FILE, postgresql://... or, for the KV, redis://...",
        )
    return url


def shown(url: URL) -> str:
    """The URL of the store without user, password and parameters."""
    if url.drivername.startswith("sqlite"):
        return f"sqlite:///{url.database or ':memory:'}"
    host = url.host or url.query.get("host") or url.query.get("unix_sock") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"{url.drivername.split('+')[0]}://{host}{port}/{url.database or ''}"


@contextmanager
def unavailable(url: URL) -> Iterator[None]:
    """Converts the driver's exceptions to `StateUnavailable`. A write that fails like this may or may not have happened."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StateUnavailable(
            f"state at '{shown(url)}' does not answer: {_reason(error)}", hint=_advice(url)
        ) from None
    except (OSError, NoSuchModuleError) as error:
        raise StateUnavailable(f"state at '{shown(url)}' does not answer: {error}", hint=_advice(url)) from None
    except DBAPIError as error:
        raise StateUnavailable(f"state at '{shown(url)}' refused: {_reason(error)}", hint=_advice(url)) from None


def _reason(error: DBAPIError) -> str:
    cause = error.orig
    arguments = getattr(cause, "args", ())
    if arguments and isinstance(arguments[0], dict):  # pg8000 gives the server's fields: M is the message, C the code
        return f"{arguments[0].get('M')} ({arguments[0].get('C')})"
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__


def _advice(url: URL) -> str:
    if url.drivername.startswith("sqlite"):
        return "check that the folder exists, is writable and has free space, and that no other program locks the file"
    return "check that the server runs, is reachable from here, and that user and password are right; then run again"


def _sqlite(url: URL, options: dict[str, Any], autocommit: bool) -> sa.Engine:
    if url.database and url.database != ":memory:":
        try:
            make_private_folder(Path(url.database).parent)
            if not url.database.startswith("file:"):
                make_private_file(url.database)
        except OSError as error:
            raise StateUnavailable(f"state at '{shown(url)}' cannot be created: {error}", hint=_advice(url)) from None
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, **options)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        if not autocommit:
            connection.isolation_level = None  # sqlite3 then begins no transaction implicitly: `begin` below does
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")  # an acknowledged checkpoint survives a power cut
        connection.execute("PRAGMA foreign_keys=ON")

    if not autocommit:

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            is_reading = connection.get_execution_options().get("is_reading", False)
            connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switches to WAL. That needs exclusive access, and SQLite does not wait for it: https://www.sqlite.org/wal.html"""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _libpq(url: URL) -> tuple[URL, dict[str, Any]]:
    arguments: dict[str, Any] = {"timeout": NETWORK_TIMEOUT_S}
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    if url.host and url.host.upper().startswith("%2F"):  # the folder of a socket, as libpq takes it
        query.setdefault("host", unquote(url.host))
        url = url.set(host=None)
    if (host := query.pop("host", None)) and host.startswith("/"):
        arguments["unix_sock"] = f"{host}/.s.PGSQL.{query.pop('port', None) or url.port or 5432}"
    elif host:
        url = url.set(host=host)
    if (sock := query.pop("unix_sock", None)) is not None:
        arguments["unix_sock"] = sock
    if (timeout := query.pop("connect_timeout", None)) is not None:
        arguments["timeout"] = float(timeout)
    arguments["application_name"] = query.pop("application_name", "ingest-ray")
    if (password := query.pop("password", None)) is not None:
        url = url.set(password=password)
    context = _tls(query.pop("sslmode", "prefer"), query.pop("sslrootcert", None))
    if context is not None:
        arguments["ssl_context"] = context
    elif (
        "unix_sock" in arguments
    ):  # has no TLS, as in libpq; a context would load the trusted certificates in vain: 20 ms
        arguments["ssl_context"] = False
    if query:
        raise ConfigError(f"state at '{shown(url)}': parameter '{sorted(query)[0]}' of the URL is not understood")
    return url.set(query={}), arguments


def _tls(mode: str, root: str | None) -> ssl.SSLContext | None:
    if mode in ("disable", "allow", "prefer"):  # pg8000 uses TLS then where the server offers it, unverified
        return None
    if mode not in ("require", "verify-ca", "verify-full"):
        raise ConfigError(f"sslmode '{mode}' is unknown", hint="disable, prefer, require, verify-ca or verify-full")
    context = ssl.create_default_context(cafile=root)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    return context
