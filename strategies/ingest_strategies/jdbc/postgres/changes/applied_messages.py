"""The net changes of a table in a part of the log, or every change, as batches: what `net_changes` and `change_rows` do, in machine code.

Memory holds the messages of the part once, and for each row that is left where its values are in them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_ray.sdk.changes import DELETE, INSERT, TRUNCATE, UPDATE
from ingest_ray.sdk.errors import SourceError
from ingest_strategies.jdbc.changes.change import KEPT, Change, Relation, Value
from ingest_strategies.jdbc.changes.change_rows import BATCH_ROWS, ChangeColumns, RowWriter
from ingest_strategies.jdbc.changes.net_changes import ColumnOrder, NetRow, require_key
from ingest_strategies.jdbc.postgres.changes import apply_kernel as kernel
from ingest_strategies.jdbc.postgres.changes.messages import EPOCH_US, decode_changes, decode_relation

FIRST_ROWS = 4_096
MOST_BYTES = 2**31 - 1  # places in the messages have 31 bits
OPERATIONS = (INSERT, UPDATE, DELETE, TRUNCATE)

Octets = npt.NDArray[np.uint8]


class AppliedMessages:
    """`order`: the columns that are read; it notes those that the log has. `is_append`: each change is a row."""

    def __init__(self, data: Octets, order: ColumnOrder, lower: int, upper: int, *, is_append: bool) -> None:
        self._data, self._order = data, order
        self._key = np.array([list(order.names).index(name) for name in order.key], np.int64)
        self._relation: Relation | None = None
        self._relation_message = b""
        self._state = np.zeros(kernel.STATES, np.int64)
        self._state[kernel.LOWER], self._state[kernel.UPPER] = lower, upper
        self._state[kernel.IS_APPEND] = is_append
        self._state[kernel.TRANSACTION] = self._state[kernel.TRUNCATED] = -1
        self._transactions = np.zeros((1_024, 3), np.int64)
        self._positions, self._spans = np.zeros(len(order.names), np.int64), np.zeros(2, np.int64)
        self._values = np.zeros((FIRST_ROWS, 2 * len(order.names)), np.int32)
        self._items = np.zeros((FIRST_ROWS, kernel.ITEMS), np.int32)
        self._buckets = np.full(4 * FIRST_ROWS, -1, np.int32)
        self._apply()

    def _apply(self) -> None:
        while True:
            before = int(self._state[kernel.CHANGES])
            result = kernel.apply_messages(
                self._data,
                self._state,
                self._transactions,
                self._spans,
                self._positions,
                self._key,
                self._values,
                self._items,
                self._buckets,
            )
            if self._relation is not None and before != self._state[kernel.CHANGES]:
                self._order.seen.update(self._relation.columns)
            match result:
                case kernel.DONE:
                    return
                case kernel.RELATION:
                    self._read_relation()
                case kernel.GROW:
                    self._grow()
                case kernel.NO_KEY:
                    require_key(self._change(), self._order.key)
                case _:
                    raise SourceError("the log has a message of another form")

    def _message(self) -> bytes:
        at = int(self._state[kernel.AT])
        size = int.from_bytes(self._data[at : at + 4].tobytes(), "big")
        return self._data[at + 4 : at + 4 + size].tobytes()

    def _read_relation(self) -> None:
        message = self._relation_message = self._message()
        self._relation = relation = decode_relation(message)
        at = {name: index for index, name in enumerate(relation.columns)}
        self._positions = np.array([at.get(name, -1) for name in self._order.names], np.int64)
        self._spans = np.zeros(2 * max(1, len(relation.columns)), np.int64)
        self._state[kernel.COLUMNS] = len(relation.columns)
        self._state[kernel.HAS_KEY] = set(self._order.key) <= relation.key
        self._state[kernel.AT] += 4 + len(message)

    def _change(self) -> Change:
        """The change that comes next, of which the log does not have the key."""
        lsn, at, xid = (int(number) for number in self._transactions[self._state[kernel.TRANSACTION]])
        begin = b"B" + b"".join(number.to_bytes(size, "big") for number, size in ((lsn, 8), (at, 8), (xid, 4)))
        return next(decode_changes([self._relation_message, begin, self._message()]))

    def _grow(self) -> None:
        if self._state[kernel.TRANSACTION] + 1 == len(self._transactions):
            self._transactions = np.concatenate([self._transactions, np.zeros_like(self._transactions)])
            return
        rows = int(self._state[kernel.ROWS])
        if rows + 3 >= len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
            self._items = np.concatenate([self._items, np.zeros_like(self._items)])
        self._buckets = np.full(4 * len(self._values), -1, np.int32)
        if not self._state[kernel.IS_APPEND]:
            kernel.fill_buckets(self._items, rows, self._buckets)

    def _stamp(self, row: int) -> tuple[int, int, int, int]:
        """Position, place, moment and number of the transaction."""
        lsn, at, xid = (int(number) for number in self._transactions[self._items[row, kernel.OF]])
        return lsn, int(self._items[row, kernel.SEQ]), at + EPOCH_US, xid

    def truncation(self) -> NetRow | None:
        """No older row is left."""
        if self._state[kernel.TRUNCATED] < 0:
            return None
        lsn, at, xid = (int(number) for number in self._transactions[self._state[kernel.TRUNCATED]])
        assert self._relation is not None
        seq = int(self._state[kernel.TRUNCATED_AT])
        change = Change("truncate", lsn, seq, at + EPOCH_US, self._relation, None, None, xid=xid)
        return NetRow(TRUNCATE, [None] * len(self._order.names), change)

    def _partial(self, rows: npt.NDArray[np.int64]) -> Any:
        """Of each row whether values are not repeated; what a deleted row does not have counts as NULL."""
        return (self._values[rows, 1::2] == kernel.KEPT).any(axis=1)

    def moved_rows(self) -> list[NetRow]:
        """Those with another key than before, whose values that are not repeated the sink has under that key."""
        rows = np.arange(self._state[kernel.ROWS], dtype=np.int64)
        chosen = rows[(self._items[: len(rows), kernel.MOVED] != 0) & self._partial(rows)]
        return [self._net_row(int(row)) for row in chosen]

    def _net_row(self, row: int) -> NetRow:
        lsn, seq, at, xid = self._stamp(row)
        assert self._relation is not None
        op = OPERATIONS[self._items[row, kernel.OP]]
        change = Change(op, lsn, seq, at, self._relation, None, None, xid=xid)  # type: ignore[arg-type]
        return NetRow(op, [self._value(row, at) for at in range(len(self._order.names))], change, is_moved=True)

    def _value(self, row: int, column: int) -> Value:
        begin, length = (int(number) for number in self._values[row, 2 * column : 2 * column + 2])
        if length < 0:
            return None if length == kernel.NULL else KEPT
        return self._data[begin : begin + length].tobytes()

    def batches(self, writer: RowWriter) -> Iterator[pa.RecordBatch]:
        """All rows but the moved ones; a truncation first."""
        if (truncation := self.truncation()) is not None:
            yield writer.batch([truncation])
        count = int(self._state[kernel.ROWS])
        for first in range(0, count, BATCH_ROWS):
            rows = np.arange(first, min(first + BATCH_ROWS, count), dtype=np.int64)
            partial = self._partial(rows)
            stays = ~((self._items[rows, kernel.MOVED] != 0) & partial)
            chosen = rows[stays]
            if len(chosen):
                yield writer.batch_of(self._columns(chosen, partial[stays]))

    def _columns(self, rows: npt.NDArray[np.int64], partial: Any) -> ChangeColumns:
        items = self._items[rows]
        transactions = self._transactions[items[:, kernel.OF]]
        texts = [self._texts(rows, column) for column in range(len(self._order.names))]
        kept: dict[int, Sequence[bool]] = {}
        for at in np.flatnonzero(partial):
            kept[int(at)] = (self._values[rows[at], 1::2] == kernel.KEPT).tolist()
        return ChangeColumns(
            texts,
            pa.array(OPERATIONS).take(pa.array(items[:, kernel.OP])),
            pa.array(transactions[:, 0]),
            pa.array(items[:, kernel.SEQ].astype(np.int64)),
            pa.array(transactions[:, 1] + EPOCH_US),
            kept,
        )

    def _texts(self, rows: npt.NDArray[np.int64], column: int) -> pa.Array:
        lengths = self._values[rows, 2 * column + 1]
        offsets = np.empty(len(rows) + 1, np.int32)
        out = np.empty(int(np.maximum(lengths, 0).sum()), np.uint8)
        kernel.gather(self._data, self._values, rows, column, offsets, out)
        valid = pa.py_buffer(np.packbits(lengths >= 0, bitorder="little"))
        return pa.Array.from_buffers(pa.binary(), len(rows), [valid, pa.py_buffer(offsets), pa.py_buffer(out)])
