"""One read-only connection through ADBC; its errors are those of `ingest_ray.sdk.errors`, without secrets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_strategies.jdbc.sessions.driver_session import DriverSession, close_quietly
from ingest_strategies.jdbc.sessions.faults import without_secrets

Fault = Callable[[str, str | None], IngestError]
"""(message without secrets, SQLSTATE) -> the error to raise."""


class AdbcSession(DriverSession):
    """A connection in autocommit mode: transactions are begun by statement, so that a snapshot can be imported."""

    def __init__(
        self, connect: Callable[[], Any], fault: Fault, secrets: Sequence[str], peer: DatabasePeer | None = None
    ) -> None:
        self._streams: list[Any] = []

        def translate(error: Exception) -> IngestError:
            return fault(without_secrets(str(error), secrets), getattr(error, "sqlstate", None) or None)

        super().__init__(connect, (AdbcError,), translate, peer)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._peer.span(sql), self._translate_errors(), self._connection.cursor() as cursor:
            cursor.execute(sql)
            table = cursor.fetch_arrow_table()
        columns = [column.to_pylist() for column in table.columns]
        return list(zip(*columns, strict=True))

    def run(self, sql: str) -> None:
        with self._peer.span(sql), self._translate_errors(), self._connection.cursor() as cursor:
            cursor.execute(sql)

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Streams a result; memory holds one batch. The statement ends when the iterator is closed."""
        cursor = self._connection.cursor()
        self._streams.append(cursor)
        reader, span, row_count = None, self._peer.begin(sql), 0
        try:
            cursor.adbc_statement.set_options(**options)
            with self._translate_errors():
                cursor.execute(sql)
                reader = cursor.fetch_record_batch()
            while (batch := self._next_batch(reader)) is not None:
                row_count += batch.num_rows
                yield batch
        except IngestError as error:
            span.fail(error.code)
            raise
        finally:
            span.set({"db.response.returned_rows": row_count})
            span.end()
            if reader is not None:
                close_quietly(reader)
            self._end(cursor)

    def _next_batch(self, reader: Any) -> pa.RecordBatch | None:
        try:
            return reader.read_next_batch()
        except StopIteration:
            return None
        except (AdbcError, pa.ArrowException, OSError) as error:
            raise self._fault(error) from None

    def _end(self, cursor: Any) -> None:
        if cursor in self._streams:
            self._streams.remove(cursor)
        close_quietly(cursor)

    def close(self) -> None:
        """Ends what is still being read, too: a connection with an open statement would stay with the server."""
        for cursor in list(self._streams):
            self._end(cursor)
        super().close()
