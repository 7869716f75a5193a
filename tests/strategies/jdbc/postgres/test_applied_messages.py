"""Machine code divides messages by tables and applies them to each other as the plain code does, for any messages."""

from collections.abc import Iterator, Sequence
from struct import pack
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_strategies.jdbc.changes.change_rows import change_row
from ingest_strategies.jdbc.changes.net_changes import ColumnOrder, NetChanges, NetRow
from ingest_strategies.jdbc.postgres.changes import apply_kernel, log_parts
from ingest_strategies.jdbc.postgres.changes.applied_messages import AppliedMessages
from ingest_strategies.jdbc.postgres.changes.log_parts import LogPart
from ingest_strategies.jdbc.postgres.changes.messages import decode_changes

TABLES = (16_400, 16_401, 70_000)
COLUMNS = ("id", "kind", "big", "late")
LSN = 0x1_0000_0000
LOWER, UPPER = LSN + 200, LSN + 2_000
Message = bytes


def row_of(values: Sequence[str | None]) -> bytes:
    parts = [pack(">H", len(values))]
    for value in values:
        if value in (None, "kept"):
            parts.append(b"n" if value is None else b"u")
        else:
            assert value is not None
            text = value.encode()
            parts.append(b"t" + pack(">I", len(text)) + text)
    return b"".join(parts)


def relation(oid: int, columns: Sequence[str], identity: str) -> bytes:
    keys = {"d": ("id", "kind"), "f": columns}[identity]
    listed = b"".join(bytes([name in keys]) + name.encode() + b"\0" + pack(">Ii", 25, -1) for name in columns)
    return b"R" + pack(">I", oid) + b"public\0t\0" + identity.encode() + pack(">H", len(columns)) + listed


VALUES = st.sampled_from(["1", "2", "3", "", "ä" * 3, None])
NEW = st.tuples(st.sampled_from("123"), st.sampled_from("ab"), st.sampled_from(["x", "y" * 40, "kept", None]), VALUES)
CHANGES = st.tuples(st.sampled_from("IUUUDKKOT"), st.sampled_from(TABLES), NEW, NEW)
TRANSACTIONS = st.lists(st.lists(CHANGES, max_size=6), max_size=12)


def messages_of(transactions: list[list[Any]], alters: bool) -> Iterator[bytes]:
    """`alters`: the table gets its last column in the midst of it."""
    columns = COLUMNS[:3] if alters else COLUMNS
    for oid in TABLES:
        yield relation(oid, columns, "d")
    for number, changes in enumerate(transactions):
        if number == len(transactions) // 2 and alters:
            columns = COLUMNS
            yield relation(TABLES[0], columns, "d")
        yield b"B" + pack(">QqI", LSN + 210 * number, 1_000 * number, number)
        for kind, oid, old, new in changes:
            width = len(columns) if oid == TABLES[0] else 3 if alters else 4
            yield message(kind, oid, old[:width], new[:width])
        yield b"C" + bytes(25)


def message(kind: str, oid: int, old: Sequence[Any], new: Sequence[Any]) -> bytes:
    head, whole = pack(">I", oid), ["w" if value == "kept" else value for value in old]
    key = [value if at < 2 else None for at, value in enumerate(old)]
    if kind == "T":
        return b"T" + pack(">IBII", 2, 0, oid, TABLES[1])
    if kind == "I":
        return b"I" + head + b"N" + row_of(["w" if value == "kept" else value for value in new])
    if kind == "D":
        return b"D" + head + b"K" + row_of(key)
    mark = {"U": b"", "K": b"K" + row_of(key), "O": b"O" + row_of(whole)}[kind]
    return b"U" + head + mark + b"N" + row_of(new)


def framed(messages: Sequence[bytes]) -> Any:
    return np.frombuffer(b"".join(pack(">I", len(one)) + one for one in messages), np.uint8)


def part_of(messages: list[bytes], only: int | None, pieces: int) -> LogPart:
    part = LogPart(0, UPPER, 1, only)
    for at in range(0, len(messages), pieces):
        part.fill(pa.array([b"", *messages[at : at + pieces]], pa.binary()).slice(1))
    return part


def plain(row: NetRow) -> tuple[Any, ...]:
    change = row.change
    return (row.op, tuple(row.values), change.lsn, change.seq, change.committed_us)


@settings(max_examples=80, deadline=None)
@given(TRANSACTIONS, st.booleans(), st.sampled_from([None, *TABLES]), st.integers(1, 40))
def test_messages_are_divided_as_by_the_plain_code(
    transactions: list[list[Any]], alters: bool, only: int | None, pieces: int
) -> None:
    messages = list(messages_of(transactions, alters))
    with pytest.MonkeyPatch.context() as patch:
        expected = part_of(messages, only, pieces)
        patch.setattr(log_parts, "COMPILED_BYTES", 0)
        found = part_of(messages, only, pieces)
    for oid in TABLES:
        assert list(found.messages(oid)) == list(expected.messages(oid))
        assert bytes(found.framed(oid)) == bytes(framed(list(expected.messages(oid))))
        assert found.has_moves(oid) == expected.has_moves(oid)
        for lower in (0, LOWER, UPPER - 200):
            assert found.has_changes(oid, lower) == expected.has_changes(oid, lower)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(TRANSACTIONS, st.booleans(), st.permutations(COLUMNS))
def test_rows_are_left_as_by_the_plain_code(transactions: list[list[Any]], alters: bool, names: list[str]) -> None:
    part = part_of(list(messages_of(transactions, alters)), None, 1_000)
    orders = [ColumnOrder(names, ("id", "kind")) for _ in range(2)]
    changes = [one for one in decode_changes(part.messages(TABLES[0])) if LOWER <= one.lsn < UPPER]
    net = NetChanges(orders[0])
    for change in changes:
        net.apply(change)
    expected = list(net.rows())
    applied = AppliedMessages(part.framed(TABLES[0]), orders[1], LOWER, UPPER, is_append=False)
    rows = list(rows_of(applied))
    assert sorted(map(repr, map(plain, rows))) == sorted(map(repr, map(plain, expected)))
    moved = [row for row in expected if row.is_moved and row.is_partial]
    assert sorted(map(repr, map(plain, applied.moved_rows()))) == sorted(map(repr, map(plain, moved)))
    assert orders[1].seen == orders[0].seen
    appended = AppliedMessages(part.framed(TABLES[0]), orders[1], LOWER, UPPER, is_append=True)
    assert list(map(plain, rows_of(appended))) == [plain(change_row(orders[0], change)) for change in changes]


def rows_of(applied: AppliedMessages) -> Iterator[NetRow]:
    if (truncation := applied.truncation()) is not None:
        yield truncation
    for row in range(int(applied._state[apply_kernel.ROWS])):
        yield applied._net_row(row)
