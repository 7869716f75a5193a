"""A reader's connection to PostgreSQL that decodes its rows itself: the session of `PostgresSession` over `ReadingWire`.

For tables of 16 MiB and more with common types, where the connection needs nothing that only libpq has. Everything else is read through ADBC, and a
connection that cannot be made here is made there, or its error is libpq's.
"""

import getpass
import logging
import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest_ray.connections.tunnel import LOOPBACK
from ingest_ray.sdk.errors import IngestError, SourceChanged
from ingest_ray.sdk.types import Dataset
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.postgres.session import MARK, PostgresSession
from ingest_strategies.jdbc.sessions.adbc import Fault
from ingest_strategies.jdbc.sessions.faults import without_secrets
from ingest_strategies.jdbc.sessions.reach import Reach

log = logging.getLogger(__name__)

LARGE_BYTES = 16 * 1024 * 1024  # below, pg8000's login (0.04 s of CPU) costs as much as decoding saves
CAST_FORMS = frozenset({"text", "bigint", "unsigned", "money", "sent", "shown", "text list", "shown list"})
_LENGTH = r"(\(\d+\))?"
_COMMON = re.compile(
    rf"boolean|smallint|integer|bigint|real|double precision|text|character( varying)?{_LENGTH}|\"char\"|name|bytea|date|uuid|jsonb?"
    rf"|timestamp{_LENGTH} with(out)? time zone|time{_LENGTH} without time zone"
)
# libpq reads these where a connection string leaves something out.
_ENVIRONMENT = re.compile(
    r"PG(HOSTADDR|PASSWORD|PASSFILE|SERVICE|SERVICEFILE|SSL\w*|REQUIRE\w*|CHANNELBINDING|GSS\w*|KRB\w*|USER|MINPROTO\w*|MAXPROTO\w*)"
)


def is_decoded(dataset: Dataset, names: Sequence[str]) -> bool:
    """Whether the table is large and every selected column has a common type."""
    is_large = (dataset.estimated_bytes or 0) >= LARGE_BYTES or "partitioned" in dataset.labels
    forms = dataset.facts.get("select")
    if not is_large or not isinstance(forms, dict) or find_spec("numba") is None:
        return False
    return all(
        _is_known(column.source_type, forms.get(column.name)) for column in dataset.columns if column.name in names
    )


def _is_known(source_type: str, form: object) -> bool:
    """`form`: how a column is selected; None: as it is."""
    if form in CAST_FORMS:
        return True
    plain = source_type.removesuffix("[]") if form == "list" else source_type
    return form in (None, "list") and _COMMON.fullmatch(plain) is not None


def has_plain_login(config: PostgresConfig) -> bool:
    """Whether the connection needs nothing of libpq: one host, no certificate of its own, nothing in the environment or in files."""
    home = Path("~/.postgresql").expanduser()
    if (
        any(_ENVIRONMENT.fullmatch(name) for name in os.environ)
        or (home / "root.crt").exists()
        or (home / "postgresql.crt").exists()
    ):
        return False
    has_password = config.password is not None or config.login is not None
    is_plain = len(config.addresses) == 1 and not config.options and config.target_session_attrs in (None, "any")
    is_known_tls = config.sslcert is None and config.sslkey is None and config.demanded_tls != "allow"
    if config.demanded_tls in ("verify-ca", "verify-full") and config.sslrootcert is None:
        return False
    return is_plain and is_known_tls and (has_password or not Path("~/.pgpass").expanduser().exists())


def login_of(config: PostgresConfig, reach: Reach | None) -> dict[str, Any]:
    """The arguments of pg8000's connection."""
    (host, port), password = config.addresses[0], reach.password() if reach is not None else None
    local_port = reach.local_port() if reach is not None else None
    if password is None and config.password is not None:
        password = config.password.get_secret_value()
    login: dict[str, Any] = {
        "user": config.user or getpass.getuser(),
        "database": config.database,
        "password": password,
        "application_name": config.application_name,
        "timeout": max(2, round(config.connect_timeout_s)),
        "startup_params": {"client_encoding": "UTF8"},
    }
    if host.startswith("/"):
        return {**login, "unix_sock": f"{host}/.s.PGSQL.{port}", "ssl_context": False}
    where = (LOOPBACK, local_port) if local_port is not None else (host, port)
    return {**login, "host": where[0], "port": where[1], "ssl_context": _tls(config)}


def _tls(config: PostgresConfig) -> Any:
    """As pg8000 takes it: None prefers TLS without verification, False has none."""
    match config.demanded_tls:
        case None | "prefer":
            return None
        case "disable":
            return False
        case mode:
            context = ssl.create_default_context(cafile=config.sslrootcert if config.sslrootcert != "system" else None)
            context.check_hostname = mode == "verify-full"
            if mode == "require" and config.sslrootcert is None:  # with one, it is verified as by verify-ca
                context.verify_mode = ssl.CERT_NONE
            return context


class CopySession(PostgresSession):
    """Errors of the connection itself are those of `ReadingWire`: nothing was read."""

    decodes_numerics = True

    def __init__(self, config: PostgresConfig, fault: Fault, reach: Reach | None = None) -> None:
        self._wire: Any = None
        super().__init__(config, fault, reach)

    def _connect(self) -> Any:
        from ingest_strategies.jdbc.postgres.wire import ReadingWire  # loads the compiled code

        login = login_of(self._config, self._reach)
        self._opened_at = time.monotonic()
        self._wire = ReadingWire(**login)
        return self._wire

    def _marked_rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._peer.span(sql), self._translate_errors():
            found: list[tuple[Any, ...]] = self._wire.rows(f"{MARK} {sql}")
        return found

    def _execute(self, sql: str) -> None:
        with self._translate_errors():
            self._wire.rows(f"{MARK} {sql}")

    def _stream(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        from ingest_strategies.jdbc.postgres.wire import UnknownColumnType

        batches = self._wire.copy(sql, int(options["adbc.postgresql.batch_size_hint_bytes"]))
        span, row_count = self._peer.begin(f"COPY {sql}"), 0
        try:
            while True:
                with self._translate_errors():
                    batch = next(batches, None)
                if batch is None:
                    return
                row_count += batch.num_rows
                yield batch
        except IngestError as error:
            span.fail(error.code)
            raise
        except UnknownColumnType as error:
            raise SourceChanged(
                f"a column has another type than the catalog says: {error}", hint="collect metadata again"
            ) from None
        finally:
            span.set({"db.response.returned_rows": row_count})
            span.end()
            batches.close()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        from ingest_ray.connections.copy_wire import WireError
        from ingest_strategies.jdbc.postgres.copy_rows import MalformedCopy

        if self._wire is None:  # not connected yet: another session may succeed
            yield
            return
        try:
            yield
        except WireError as error:
            raise self._fault_of(without_secrets(str(error), self._config.secrets), error.state or None) from None
        except (MalformedCopy, OSError) as error:
            raise self._fault_of(without_secrets(str(error), self._config.secrets), None) from None


def open_reading_session(config: PostgresConfig, fault: Fault, reach: Reach) -> PostgresSession:
    """The session that decodes, or, where it cannot connect, that of ADBC, whose errors say why."""
    from pg8000.exceptions import Error

    try:
        return CopySession(config, fault, reach)
    except (
        Error,
        OSError,
    ) as error:  # an authentication that pg8000 does not have, a certificate that only libpq accepts
        log.debug("connecting through libpq: %s", type(error).__name__)
        return PostgresSession(config, fault, reach)
