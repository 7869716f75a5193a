"""One connection through a DB-API driver; its errors are those of `ingest_ray.sdk.errors`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_strategies.jdbc.sessions.driver_session import DriverSession, close_quietly

MAX_ROWS = 65_536


class DbapiSession(DriverSession):
    """`options` go with every statement."""

    def __init__(
        self,
        connect: Callable[[], Any],
        errors: tuple[type[Exception], ...],
        fault: Callable[[Exception], IngestError],
        options: Mapping[str, Any] | None = None,
        peer: DatabasePeer | None = None,
    ) -> None:
        self._options = dict(options or {})
        super().__init__(connect, (*errors, OSError), fault, peer)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        try:
            with self._peer.span(sql), self._translate_errors():
                cursor.execute(sql, **self._options)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            close_quietly(cursor)

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The values as text in binary columns; `first_rows` and `page_bytes` bound a batch."""
        count, page_bytes = int(options["first_rows"]), int(options["page_bytes"])
        cursor, span, row_count = self._connection.cursor(), self._peer.begin(sql), 0
        try:
            with self._translate_errors():
                cursor.arraysize = count
                cursor.execute(sql, **self._options)
                while rows := cursor.fetchmany(count):
                    columns = [
                        pa.array([wire_bytes(value) for value in values], pa.binary())
                        for values in zip(*rows, strict=True)
                    ]
                    batch = pa.RecordBatch.from_arrays(columns, [f"c{index}" for index in range(len(columns))])
                    count = cursor.arraysize = next_row_count(count, batch, page_bytes)
                    row_count += batch.num_rows
                    yield batch
        except IngestError as error:
            span.fail(error.code)
            raise
        finally:
            span.set({"db.response.returned_rows": row_count})
            span.end()
            close_quietly(cursor)


def next_row_count(count: int, batch: pa.RecordBatch, page_bytes: int) -> int:
    """How many rows to fetch next, so that a page is filled and not much more."""
    return max(1, min(4 * count, int(page_bytes * batch.num_rows / max(1, batch.nbytes)), MAX_ROWS))


def wire_bytes(value: object) -> bytes | None:
    """A driver's value as text; a float in the shortest form that is read back to the same bits."""
    match value:
        case None | bytes():
            return value
        case str():
            return value.encode()
        case bytearray() | memoryview():
            return bytes(value)
        case bool():
            return b"1" if value else b"0"
        case float():
            return repr(value).encode()
        case _:
            return str(value).encode()
