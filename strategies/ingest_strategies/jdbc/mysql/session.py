"""One read-only connection through PyMySQL. Values arrive as the server's own text: no converter touches them.

Every statement carries a mark, which identifies this project's sessions in the server's list of processes.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from math import ceil
from typing import Any

import pyarrow as pa
import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from ingest_ray.connections.tunnel import LOOPBACK
from ingest_ray.sdk.errors import IngestError, SourceLocked
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.lock_waits import MARK, sessions_that_wait
from ingest_strategies.jdbc.sessions.driver_session import DriverSession, close_quietly
from ingest_strategies.jdbc.sessions.faults import LOCKED_HINT, without_secrets
from ingest_strategies.jdbc.sessions.lock_watch import LockWatch
from ingest_strategies.jdbc.sessions.reach import Reach

if (
    find_spec("numba") is None
):  # imported where a result is read; a missing library is reported when the strategy is loaded
    raise ImportError("No module named 'numba'")

INTEGERS = frozenset(
    {FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR}
)
Fault = Callable[[str, int], IngestError]
"""(message without secrets, error number) -> the error to raise."""


class MysqlSession(DriverSession):
    """A connection in autocommit mode: transactions are begun by statement."""

    def __init__(self, config: MysqlConfig, fault: Fault, reach: Reach | None = None) -> None:
        """`reach`: the tunnel and the login, where there is one or the other."""
        self._is_dropped = False
        self._config, self._fault_of, self._reach = config, fault, reach

        def translate(error: Exception) -> IngestError:
            number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            message = str(error.args[1]) if len(error.args) > 1 else str(error)
            return fault(without_secrets(f"{message} ({number})" if number else message, config.secrets), number)

        peer = DatabasePeer("mysql", config.host, config.port, config.database)
        super().__init__(lambda: connect(config, reach), (pymysql.MySQLError, OSError), translate, peer)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Whole numbers as int, everything else as text."""
        with self._peer.span(sql), self._translate_errors(), self._connection.cursor() as cursor:
            cursor.execute(f"{MARK} {sql}")
            is_integer = [column[1] in INTEGERS for column in cursor.description or ()]
            return [
                tuple(
                    value if value is None else int(value) if is_whole else value.decode()
                    for value, is_whole in zip(row, is_integer, strict=True)
                )
                for row in cursor.fetchall()
            ]

    def named_rows(self, sql: str) -> list[dict[str, str | None]]:
        """Rows by column name, every value as text: for SHOW statements, whose columns differ between servers."""
        with self._peer.span(sql), self._translate_errors(), self._connection.cursor() as cursor:
            cursor.execute(f"{MARK} {sql}")
            names = [column[0] for column in cursor.description or ()]
            return [
                {name: value if value is None else value.decode() for name, value in zip(names, row, strict=True)}
                for row in cursor.fetchall()
            ]

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The values as text in binary columns; `page_bytes` bounds a batch."""
        return self.typed_batches(sql, int(options["page_bytes"]), ())

    def typed_batches(self, sql: str, page_bytes: int, types: Sequence[pa.DataType]) -> Iterator[pa.RecordBatch]:
        """The values as these types; a batch with a value that is not of its type has all its values as text in binary columns."""
        cursor: Any = SSCursor(self._connection)
        span, row_count = self._peer.begin(sql), 0
        try:
            with self._translate_errors():
                cursor.execute(f"{MARK} {sql}")
                if cursor._result.unbuffered_active:
                    from ingest_strategies.jdbc.mysql.result_rows import MysqlRows  # NumPy: only where rows follow

                    for batch in MysqlRows(self._connection, cursor._result, page_bytes, types).batches():
                        row_count += batch.num_rows
                        yield batch
        except IngestError as error:
            span.fail(error.code)
            raise
        finally:
            span.set({"db.response.returned_rows": row_count})
            span.end()
            self._end(cursor)

    def prepared_batches(
        self, sql: str, page_bytes: int, types: Sequence[pa.DataType]
    ) -> Iterator[pa.RecordBatch] | None:
        """The same by a prepared statement. None, and nothing was read: it cannot be prepared, or a column is sent in another form
        than its type has."""
        from ingest_strategies.jdbc.mysql.binary_columns import binary_columns
        from ingest_strategies.jdbc.mysql.prepared_statement import prepare

        with self._translate_errors():
            statement = prepare(self._connection, f"{MARK} {sql}")
            if statement is None:
                return None
            if statement.parameters or binary_columns(statement.fields, types) is None:
                statement.close()
                return None
        return self._executed_batches(statement, sql, page_bytes, types)

    def _executed_batches(
        self, statement: Any, sql: str, page_bytes: int, types: Sequence[pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        from ingest_strategies.jdbc.mysql.binary_columns import binary_columns
        from ingest_strategies.jdbc.mysql.result_rows import MysqlRows

        span, row_count, result = self._peer.begin(sql), 0, None
        try:
            with self._translate_errors():
                result = statement.execute()
                forms = binary_columns(result.fields, types)
                if forms is None:
                    raise pymysql.InternalError("the columns changed after the statement was prepared")
                for batch in MysqlRows(self._connection, result, page_bytes, types, forms).batches():
                    row_count += batch.num_rows
                    yield batch
                statement.close()
        except IngestError as error:
            span.fail(error.code)
            raise
        finally:
            span.set({"db.response.returned_rows": row_count})
            span.end()
            self._drop_unfinished(result)

    @contextmanager
    def giving_way(self, schema: str, table: str) -> Iterator[None]:
        """Raises `SourceLocked` where what is read within was ended because another session waited to change the table."""
        own_id = int(self.rows("SELECT connection_id()")[0][0])
        watch = LockWatch(
            self._open_another,
            lambda session: sessions_that_wait(session, own_id, schema, table),
            (f"KILL QUERY {own_id}", f"KILL CONNECTION {own_id}"),
            self._config.lock_timeout_s / 2,
        )
        try:
            with watch:
                yield
        except IngestError as error:
            if watch.gave_way_to is None:
                raise
            raise SourceLocked(
                f"gave way to connection {watch.gave_way_to}, which waits to change the table ({error.message})",
                hint=LOCKED_HINT,
            ) from None

    @contextmanager
    def _open_another(self) -> Iterator[Session]:
        session = MysqlSession(self._config, self._fault_of, self._reach)
        try:
            session.run(f"SET SESSION lock_wait_timeout = {ceil(self._config.lock_timeout_s)}")
            yield session
        finally:
            session.close()

    def _end(self, cursor: Any) -> None:
        self._drop_unfinished(cursor._result)
        close_quietly(cursor)

    def _drop_unfinished(self, result: Any) -> None:
        """An unfinished result is not read to its end: the connection is dropped instead."""
        if result is not None and result.unbuffered_active:
            result.unbuffered_active = False
            self._is_dropped = True
            self._connection._force_close()

    def close(self) -> None:
        if not self._is_dropped:
            super().close()


def mysql_session(session: Session) -> MysqlSession:
    assert isinstance(session, MysqlSession)
    return session


CLEAR_TEXT = 2061  # CR_AUTH_PLUGIN_ERR
NO_CLEAR_TEXT = (
    "the server asks for the password in clear text, and the connection has no TLS: ssl_mode 'required' or more"
)


class ClearPassword:
    """Answers `mysql_clear_password` (LDAP, PAM, tokens of clouds) through TLS or a socket only, as MySQL's own clients want it.

    Else anyone between client and server could ask for the password, whatever plug-in the server has.
    https://dev.mysql.com/doc/refman/8.4/en/cleartext-pluggable-authentication.html
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


class UnverifiedTlsConnection(pymysql.Connection):
    """TLS where the server offers it, without verification: no session loads the system's certificates, which takes 15 ms."""

    def _create_ssl_ctx(self, sslp: object) -> ssl.SSLContext:
        return unverified_context()


@cache
def unverified_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(config: MysqlConfig, reach: Reach | None = None) -> Any:
    kind = UnverifiedTlsConnection if config.demanded_tls == "preferred" else pymysql.Connection
    local_port = reach.local_port() if reach is not None else None
    password = reach.password() if reach is not None else None
    if password is None:
        password = config.password.get_secret_value() if config.password else ""
    connect_timeout_s = max(1, round(config.connect_timeout_s))
    no_decoders: dict[Any, Any] = dict(encoders)  # without decoders every value stays the server's own bytes
    connection = kind(
        host=config.host,
        port=config.port,
        unix_socket=config.unix_socket,
        user=config.user,
        password=password,
        database=config.database,
        charset="utf8mb4",
        use_unicode=False,
        conv=no_decoders,
        autocommit=True,
        connect_timeout=connect_timeout_s,
        read_timeout=config.read_timeout_s,
        write_timeout=config.read_timeout_s,
        program_name="ingest_ray",
        defer_connect=local_port is not None,
        auth_plugin_map={"mysql_clear_password": ClearPassword},
        **tls(config),
    )
    if local_port is not None:  # TLS compares the certificate with `host`
        connection.connect(socket.create_connection((LOOPBACK, local_port), connect_timeout_s))
    return connection


def tls(config: MysqlConfig) -> dict[str, Any]:
    """`preferred`, the default, takes TLS where the server offers it and verifies nothing, as MySQL's own clients do."""
    mode = config.demanded_tls
    if mode == "disabled":
        return {"ssl_disabled": True}
    if mode == "preferred":
        return {}
    context = ssl.create_default_context(cafile=config.ssl_ca)
    context.check_hostname = mode == "verify-identity"
    if mode == "required":
        context.verify_mode = ssl.CERT_NONE
    if config.ssl_cert:
        context.load_cert_chain(config.ssl_cert, config.ssl_key)
    return {"ssl": context}
