"""One read-only connection through PyMySQL. Values arrive as the server's own text: no converter touches them.

Every statement carries a mark, by which this project knows its own sessions in the server's list of processes.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any, NoReturn

import pyarrow as pa
import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from ingest_ray.sdk.errors import IngestError
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.sessions.adbc import without_secrets

if find_spec("numba") is None:  # imported where a result is read; that it is missing is told before
    raise ImportError("No module named 'numba'")

MARK = "/* ingest_ray */"
INTEGERS = frozenset(
    {FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR}
)
Fault = Callable[[str, int], IngestError]
"""(message without secrets, error number) -> the error to raise."""


class MysqlSession:
    """A connection in autocommit mode: transactions are begun by statement."""

    def __init__(self, config: MysqlConfig, fault: Fault) -> None:
        self._fault = fault
        self._secrets = config.secrets
        self._ended = False
        try:
            self._connection = connect(config)
        except (pymysql.MySQLError, OSError) as error:
            self._tell(error)

    def _tell(self, error: Exception) -> NoReturn:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        message = str(error.args[1]) if len(error.args) > 1 else str(error)
        raise self._fault(without_secrets(f"{message} ({number})" if number else message, self._secrets), number)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Whole numbers as int, everything else as text."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"{MARK} {sql}")
                whole = [column[1] in INTEGERS for column in cursor.description or ()]
                return [
                    tuple(
                        value if value is None else int(value) if is_whole else value.decode()
                        for value, is_whole in zip(row, whole, strict=True)
                    )
                    for row in cursor.fetchall()
                ]
        except (pymysql.MySQLError, OSError) as error:
            self._tell(error)

    def run(self, sql: str) -> None:
        self.rows(sql)

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """What was read, as binary columns; `page_bytes` bounds a batch."""
        cursor: Any = SSCursor(self._connection)
        try:
            cursor.execute(f"{MARK} {sql}")
            if cursor._result.unbuffered_active:
                from ingest_strategies.jdbc.mysql.result_rows import MysqlRows  # 0.25 s: only where there is a result

                yield from MysqlRows(self._connection, cursor._result, int(options["page_bytes"])).batches()
        except (pymysql.MySQLError, OSError) as error:
            self._tell(error)
        finally:
            self._end(cursor)

    def _end(self, cursor: Any) -> None:
        """An unfinished result is not read to its end: the connection is dropped instead."""
        result = cursor._result
        if result is not None and result.unbuffered_active:
            result.unbuffered_active = False
            self._ended = True
            self._connection._force_close()
        with suppress(Exception):  # the statement is over either way; the first error is the one to tell
            cursor.close()

    def close(self) -> None:
        if not self._ended:
            with suppress(Exception):  # a connection that the server has already dropped cannot be closed again
                self._connection.close()


class Preferring(pymysql.Connection):
    """TLS where the server offers it, nothing proved: so no session loads the machine's authorities, which takes 15 ms."""

    def _create_ssl_ctx(self, sslp: object) -> ssl.SSLContext:
        return unproven()


@cache
def unproven() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(config: MysqlConfig) -> Any:
    kind = Preferring if config.ssl_mode == "preferred" else pymysql.Connection
    no_decoders: dict[Any, Any] = dict(encoders)  # without decoders every value stays the server's own bytes
    return kind(
        host=config.host,
        port=config.port,
        unix_socket=config.unix_socket,
        user=config.user,
        password=config.password.get_secret_value() if config.password else "",
        database=config.database,
        charset="utf8mb4",
        use_unicode=False,
        conv=no_decoders,
        autocommit=True,
        connect_timeout=max(1, round(config.connect_timeout_s)),
        read_timeout=config.read_timeout_s,
        write_timeout=config.read_timeout_s,
        program_name="ingest_ray",
        **tls(config),
    )


def tls(config: MysqlConfig) -> dict[str, Any]:
    """`preferred`, the default, takes TLS where the server offers it and proves nothing, as MySQL's own clients do."""
    if config.ssl_mode == "disabled":
        return {"ssl_disabled": True}
    if config.ssl_mode == "preferred":
        return {}
    context = ssl.create_default_context(cafile=config.ssl_ca)
    context.check_hostname = config.ssl_mode == "verify-identity"
    if config.ssl_mode == "required":
        context.verify_mode = ssl.CERT_NONE
    if config.ssl_cert:
        context.load_cert_chain(config.ssl_cert, config.ssl_key)
    return {"ssl": context}
