"""One read-only connection through ADBC, its errors told in this project's words and without secrets."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from ingest_ray.sdk.errors import IngestError

Fault = Callable[[str, str | None], IngestError]
"""(message without secrets, SQLSTATE) -> the error to raise."""

_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@]*@")
_WORD_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """A driver's message as a person may see it: no password, no statement."""
    text = text.split("\n\nQuery was:")[0].split("\nQuery was:")[0]
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    text = _URL_PASSWORD.sub(r"\1:***@", text)
    text = _WORD_PASSWORD.sub(r"\1***", text)
    return " ".join(text.split())


class AdbcSession:
    """A connection in autocommit mode: transactions are begun by statement, so that a snapshot can be imported."""

    def __init__(self, connect: Callable[[], Any], fault: Fault, secrets: Sequence[str]) -> None:
        self._fault = fault
        self._secrets = secrets
        self._streams: list[Any] = []
        self._connection = self._guarded(connect)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except AdbcError as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> IngestError:
        state = getattr(error, "sqlstate", None) or None
        return self._fault(without_secrets(str(error), self._secrets), state)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        def fetch() -> list[tuple[Any, ...]]:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                table = cursor.fetch_arrow_table()
            columns = [column.to_pylist() for column in table.columns]
            return list(zip(*columns, strict=True))

        return list(self._guarded(fetch))

    def run(self, sql: str) -> None:
        def execute() -> None:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)

        self._guarded(execute)

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Streams a result; memory holds one batch. The statement ends when the iterator is closed."""
        cursor = self._connection.cursor()
        self._streams.append(cursor)
        reader = None
        try:
            cursor.adbc_statement.set_options(**options)
            self._guarded(lambda: cursor.execute(sql))
            reader = self._guarded(cursor.fetch_record_batch)
            while True:
                try:
                    batch = self._guarded(reader.read_next_batch)
                except StopIteration:
                    return
                except (pa.ArrowException, OSError) as error:
                    raise self._told(error) from None
                yield batch
        finally:
            if reader is not None:
                with suppress(Exception):  # the statement is over either way; the first error is the one to tell
                    reader.close()
            self._end(cursor)

    def _end(self, cursor: Any) -> None:
        if cursor in self._streams:
            self._streams.remove(cursor)
        with suppress(Exception):
            cursor.close()

    def close(self) -> None:
        """Ends what is still being read, too: a connection with an open statement would stay with the server."""
        for cursor in list(self._streams):
            self._end(cursor)
        with suppress(Exception):  # a connection that the server has already dropped cannot be closed again
            self._connection.close()
