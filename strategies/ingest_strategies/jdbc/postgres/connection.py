"""Connects to PostgreSQL, and maps its errors."""

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import adbc_driver_postgresql
from adbc_driver_manager import AdbcConnection, AdbcDatabase, dbapi

from ingest_ray.connections.tunnel import LOOPBACK
from ingest_ray.sdk.errors import (
    ConfigError,
    IngestError,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceLocked,
    SourceUnavailable,
)
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.sessions.faults import LOCKED_HINT

_LOGIN = ("password authentication failed", "no password supplied", "no pg_hba.conf entry", "role .* does not exist")


def conninfo(config: PostgresConfig, local_port: int | None = None, password_file: str | None = None) -> str:
    """libpq's `key='value'` form, quoted so that no value can be read as another key.

    `local_port`: of a tunnel; the certificate is still compared with the server's own name.
    """
    fields = {
        "host": ",".join(host for host, _ in config.addresses),
        "hostaddr": LOOPBACK if local_port is not None else None,
        "port": str(local_port) if local_port is not None else ",".join(str(port) for _, port in config.addresses),
        "target_session_attrs": config.target_session_attrs,
        "dbname": config.database,
        "user": config.user,
        "password": config.password.get_secret_value() if config.password else None,
        "passfile": password_file,
        "sslmode": config.demanded_tls,
        "sslrootcert": config.sslrootcert,
        "sslcert": config.sslcert,
        "sslkey": config.sslkey,
        "connect_timeout": max(2, round(config.connect_timeout_s)),  # libpq takes whole seconds, at least 2
        "application_name": config.application_name,
        "client_encoding": "UTF8",
        "options": config.options,  # also where there are none: PGOPTIONS of the environment does not count
    }
    parts = []
    for name, value in fields.items():
        if value is not None:
            text = str(value).replace("\\", "\\\\").replace("'", "\\'")
            parts.append(f"{name}='{text}'")
    return " ".join(parts)


_databases: dict[str, AdbcDatabase] = {}
_databases_lock = threading.Lock()
KEPT_DATABASES = 16


def database(info: str, with_password: Callable[[], AbstractContextManager[Any]] = nullcontext) -> AdbcDatabase:
    """The part that the connections of one process share: the server's types, which cost ten times a connection to read.

    Holds no connection; where it is made, it connects once, inside `with_password`. Types that are created later are not in it:
    columns of such types are selected as text.
    """
    with _databases_lock:
        found = _databases.get(info)
    if found is None:
        with with_password():
            found = adbc_driver_postgresql.connect(info)
        with _databases_lock:
            _databases[info] = found
            while len(_databases) > KEPT_DATABASES:
                del _databases[next(iter(_databases))]
    return found


class _SharedDatabase:
    """Stands for the shared database, which its connections must not close."""

    def close(self) -> None:
        pass


def connect(shared: AdbcDatabase) -> Any:
    unclosed: Any = _SharedDatabase()
    return dbapi.Connection(unclosed, AdbcConnection(shared), autocommit=True)


ENDED = {
    "conflict with recovery": "the standby had to replay what the snapshot still sees: hot_standby_feedback = on there, or a"
    " longer max_standby_streaming_delay; or read the primary",
    "due to administrator command": "an administrator ended the session (pg_terminate_backend), or the server was stopped",
    "idle-in-transaction timeout": "a limit of the server or of a pooler on open transactions: raise it for this role",
    "transaction timeout": "transaction_timeout of the server: raise it for this role",
}
_CODE = re.compile(r"SQLSTATE: ([0-9A-Z]{5})")


def server_message(message: str) -> str:
    """The server's message, without the driver's words around it and the statement that it quotes."""
    text = re.sub(r"^[A-Z_]+: (?:\[libpq\] )?(?:Failed to [\w ]+: )?(?:could not [\w ]+: )?", "", message)
    return re.sub(r"^ *ERROR: +", "", text).partition(" LINE 1: ")[0]


def fault_of(endpoint_id: str, message: str, state: str | None) -> IngestError:
    """A driver's error by its SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html."""
    if state is None or state == "00000":
        match = _CODE.search(message)
        state = match.group(1) if match else ""
    text = f"{endpoint_id}: {server_message(message)}"
    if state.startswith("28") or state == "42501" or any(re.search(pattern, message) for pattern in _LOGIN):
        return SourceDenied(text, hint="check user and password, and GRANT SELECT on the table")
    if refused := re.search(r"unsupported startup parameter(?: in options)?: (\w+)", message):
        return ConfigError(text, hint=f"pgbouncer: ignore_startup_parameters = {refused.group(1)}; or leave it out")
    if re.search(r'database ".*" does not exist', message) or state == "3D000":
        return ConfigError(text, hint="field 'database'")
    if state in ("55000", "55006") and "replication slot" in message:
        return SourceUnavailable(
            text, hint="another session reads the slot, or the server makes room for it: it is tried again"
        )
    if state == "55P03":
        return SourceLocked(text, hint=LOCKED_HINT)
    if state in ("42P01", "42703", "3F000", "42P02", "42704"):
        return SourceChanged(text, hint="collect metadata again")
    if state in ("42601", "42883", "42804", "42725"):
        return ConfigError(text, hint="check the policy's 'where'")
    if state.startswith(("22", "42")):
        return SourceError(text)
    hint = next((hint for pattern, hint in ENDED.items() if pattern in message), None)
    return SourceUnavailable(text, hint=hint)
