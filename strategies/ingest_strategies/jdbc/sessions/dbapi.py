"""One connection through a DB-API driver, its errors told in this project's words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NoReturn

import pyarrow as pa

from ingest_ray.sdk.errors import IngestError

MOST_ROWS = 65_536


class DbapiSession:
    """`fault` makes an error of a driver's, without secrets; `options` go with every statement."""

    def __init__(
        self,
        connect: Callable[[], Any],
        errors: tuple[type[Exception], ...],
        fault: Callable[[Exception], IngestError],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._errors: tuple[type[Exception], ...] = (*errors, OSError)
        self._fault = fault
        self._options = dict(options or {})
        try:
            self._connection = connect()
        except self._errors as error:
            self._tell(error)

    def _tell(self, error: Exception) -> NoReturn:
        raise self._fault(error) from None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, **self._options)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        except self._errors as error:
            self._tell(error)
        finally:
            self._end(cursor)

    def run(self, sql: str) -> None:
        self.rows(sql)

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """What was read, spelled out, as binary columns; `first_rows` and `page_bytes` bound a batch."""
        rows, page_bytes = int(options["first_rows"]), int(options["page_bytes"])
        cursor = self._connection.cursor()
        try:
            cursor.arraysize = rows
            cursor.execute(sql, **self._options)
            while found := cursor.fetchmany(rows):
                columns = [
                    pa.array([spelled(value) for value in values], pa.binary()) for values in zip(*found, strict=True)
                ]
                batch = pa.RecordBatch.from_arrays(columns, [f"c{index}" for index in range(len(columns))])
                rows = cursor.arraysize = grown(rows, batch, page_bytes)
                yield batch
        except self._errors as error:
            self._tell(error)
        finally:
            self._end(cursor)

    def _end(self, cursor: Any) -> None:
        with suppress(Exception):  # the statement is over either way; the first error is the one to tell
            cursor.close()

    def close(self) -> None:
        with suppress(Exception):  # a connection that the server has already dropped cannot be closed again
            self._connection.close()


def grown(rows: int, batch: pa.RecordBatch, page_bytes: int) -> int:
    """How many rows to fetch next, so that a page is filled and not much more."""
    return max(1, min(4 * rows, int(page_bytes * batch.num_rows / max(1, batch.nbytes)), MOST_ROWS))


def spelled(value: object) -> bytes | None:
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
