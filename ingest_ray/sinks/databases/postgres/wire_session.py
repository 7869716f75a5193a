"""A transaction over a connection whose messages this process writes itself: machine code encodes the rows that it copies.

For commits that copy many rows. The driver encodes a row for seven times the CPU.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from ingest_ray.connections.copy_wire import CopyWire, WireError
from ingest_ray.sdk.errors import CommitUnknown, IngestError, RowsRejected, SinkUnavailable
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_ray.sinks.databases.postgres.copy_encoder import HEADER, TRAILER, CopyEncoder, ValueOutOfRange
from ingest_ray.sinks.databases.postgres.errors import error_of


class WireSession:
    """Raises only errors of `ingest_ray.sdk.errors`, and those of the rows that it is given."""

    def __init__(self, wire: CopyWire, shown_url: str, peer: DatabasePeer) -> None:
        self._wire = wire
        self._shown_url = shown_url
        self._peer = peer

    def execute(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._peer.span(sql), self._translated():
            return self._wire.execute(sql, *values)[0]

    def execute_update(self, sql: str, *values: str | int) -> int:
        with self._peer.span(sql), self._translated():
            done = self._wire.execute(sql, *values)[1]
        return _count(done)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError("rows are read through the driver")

    def copy(
        self,
        table: str,
        columns: Sequence[str],
        rows: pa.RecordBatchReader,
        constants: Sequence[tuple[pa.Field, pa.Scalar]],
    ) -> int:
        """`table` and `columns` are quoted; `constants` are the values of the last columns. Returns how many rows the table took."""
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
        encoder = CopyEncoder(rows.schema, constants)
        with self._peer.span(f"COPY into {table}"):
            self._do(lambda: self._wire.begin_copy_in(statement))
            self._send(HEADER)
            try:
                for batch in rows:
                    for block in encoder.blocks(batch):
                        self._send(block)
            except ValueOutOfRange as error:
                raise RowsRejected(f"'{self._shown_url}' refused: {error}") from error
            self._send(TRAILER)
            with self._translated():
                return _count(self._wire.end_copy_in())

    def commit(self) -> None:
        """Raises `CommitUnknown` where the connection was lost."""
        try:
            done = self._wire.execute("commit")[1]
        except (WireError, OSError) as error:
            if isinstance(error, WireError) and not error.state.startswith(("08", "57")):
                raise error_of(error.state, _text(error), self._shown_url) from error
            raise CommitUnknown(f"the connection to '{self._shown_url}' was lost while it committed") from error
        if done != "COMMIT":
            raise SinkUnavailable(f"'{self._shown_url}' undid a transaction: {done}")

    def _send(self, part: bytes | memoryview) -> None:
        self._do(lambda: self._wire.send_copied(part))

    def _do(self, step: Callable[[], None]) -> None:
        with self._translated():
            step()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (WireError, OSError) as error:
            raise self._error(error) from error

    def _error(self, error: WireError | OSError) -> IngestError:
        return error_of(error.state if isinstance(error, WireError) else "", _text(error), self._shown_url)


def _text(error: Exception) -> str:
    return " ".join(str(error).split())


def _count(done: str) -> int:
    """Of a statement that did something with rows: `INSERT 0 3`, `COPY 3`."""
    last = done.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0
