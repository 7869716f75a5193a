"""Results as a MySQL server sends them, byte by byte: split at any byte, long, broken off, out of order."""

import io
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pymysql
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymysql.connections import MySQLResult

from ingest_strategies.jdbc.mysql.binary_columns import BinaryColumn
from ingest_strategies.jdbc.mysql.result_rows import MysqlRows
from tests.searches import examples

PAGE = 64 * 1024
FIRST = 7  # the number of the first packet of rows
LONGEST = 0xFFFFFF
Row = Sequence[bytes | None]


def text(value: bytes | None) -> bytes:
    if value is None:
        return b"\xfb"
    size = len(value)
    if size < 0xFB:
        return bytes([size]) + value
    if size < 2**16:
        return b"\xfc" + size.to_bytes(2, "little") + value
    if size < 2**24:
        return b"\xfd" + size.to_bytes(3, "little") + value
    return b"\xfe" + size.to_bytes(8, "little") + value


def packets(payloads: Sequence[bytes], first: int = FIRST) -> bytes:
    content, number = bytearray(), first
    for payload in payloads:
        rest = payload
        while True:
            part, rest = rest[:LONGEST], rest[LONGEST:]
            content += len(part).to_bytes(3, "little") + bytes([number % 256]) + part
            number += 1
            if len(part) < LONGEST:
                break
    return bytes(content)


def row(values: Row) -> bytes:
    return b"".join(text(value) for value in values)


EOF_PACKET = b"\xfe\x03\x00\x22\x00"  # three warnings


def failure(number: int, message: str) -> bytes:
    return b"\xff" + number.to_bytes(2, "little") + b"#70100" + message.encode()


# Any bytes, and bytes that begin as an end or an error does.
PAYLOADS = st.binary(max_size=30) | st.builds(
    lambda mark, rest: mark + rest, st.sampled_from([b"\xfe", b"\xff", b"\xff\x28\x04#"]), st.binary(max_size=12)
)


class Pieces(io.RawIOBase):
    """A stream that returns its bytes in pieces of any size; then it ends, or an error is raised."""

    def __init__(self, sent: bytes, cut: random.Random, most: int, error: Exception | None = None) -> None:
        self._sent, self._at, self._cut, self._most, self._error = sent, 0, cut, most, error

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        if self._at == len(self._sent) and self._error:
            raise self._error
        part = self._sent[self._at : self._at + min(len(room), self._cut.randint(1, self._most))]
        room[: len(part)] = part
        self._at += len(part)
        return len(part)


class Reading:
    """One result of `columns` columns at a connection whose buffered reader holds `held` bytes of it."""

    def __init__(
        self,
        sent: bytes,
        columns: int,
        page_bytes: int = PAGE,
        *,
        most: int = 10**6,
        seed: int = 0,
        held: bool = False,
        error: Exception | None = None,
        types: Sequence[pa.DataType] = (),
        forms: Sequence[BinaryColumn] = (),
    ) -> None:
        self.connection: Any = pymysql.Connection(defer_connect=True)
        self.connection._rfile = io.BufferedReader(Pieces(sent, random.Random(seed), most, error))
        self.connection._next_seq_id = FIRST
        if held:
            self.connection._rfile.peek()
        self.result: Any = MySQLResult(self.connection)
        self.result.field_count = columns
        self.result.unbuffered_active = True
        self._rows = MysqlRows(self.connection, self.result, page_bytes, types, forms)

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._rows.batches():
                batch.validate(full=True)
                yield batch
        finally:
            self.is_open = self.result.unbuffered_active
            self.result.unbuffered_active = False

    def rows(self) -> list[tuple[bytes | None, ...]]:
        return [tuple(record.values()) for batch in self.batches() for record in batch.to_pylist()]


@st.composite
def tables(draw: st.DrawFn) -> list[list[bytes | None]]:
    columns = draw(st.integers(1, 5))
    sizes = st.sampled_from([0, 1, 7, 250, 251, 252, 300, 65_535, 65_536, 70_000])
    cell = st.none() | st.binary(max_size=20) | sizes.map(lambda size: b"x" * size)
    return draw(st.lists(st.lists(cell, min_size=columns, max_size=columns), max_size=40))


@pytest.mark.slow
@settings(max_examples=examples(short=40, long=100), deadline=None)
@given(table=tables(), most=st.sampled_from([1, 2, 3, 5, 100, 8_192, 10**6]), seed=st.integers(), held=st.booleans())
def test_any_rows_arrive_however_their_bytes_are_cut(
    table: list[list[bytes | None]], most: int, seed: int, held: bool
) -> None:
    columns = len(table[0]) if table else 2
    if sum(len(value or b"") for values in table for value in values) > 10**5:
        most = max(most, 100)
    sent = packets([*(row(values) for values in table), EOF_PACKET])
    reading = Reading(sent, columns, most=most, seed=seed, held=held)
    assert reading.rows() == [tuple(values) for values in table]
    assert reading.result.warning_count == 3
    assert not reading.is_open
    assert reading.connection._next_seq_id == (FIRST + len(table) + 1) % 256


def test_columns_are_as_arrow_would_make_them() -> None:
    table: list[Row] = [(b"1", None, b""), (b"22", b"b", b""), (b"", None, b"")]
    (batch,) = Reading(packets([*map(row, table), EOF_PACKET]), 3).batches()
    assert batch.schema.names == ["c0", "c1", "c2"]
    for index in range(3):
        expected = pa.array([values[index] for values in table], pa.binary())
        assert batch.column(index).equals(expected)
        assert batch.column(index).null_count == expected.null_count
    assert batch.column(0).buffers()[0] is None


def test_batches_hold_a_page_and_only_a_single_row_holds_more() -> None:
    drawn = random.Random(1)
    table = [(b"%d" % i, b"y" * drawn.choice([10, 500, 3 * PAGE if i % 97 == 0 else 20])) for i in range(3_000)]
    batches = list(Reading(packets([*map(row, table), EOF_PACKET]), 2, most=50_000).batches())
    assert [tuple(record.values()) for batch in batches for record in batch.to_pylist()] == table
    assert all(batch.nbytes <= PAGE + 16 or batch.num_rows == 1 for batch in batches)
    large = [batch for batch in batches if batch.nbytes > PAGE + 16]
    assert large
    assert len(batches) < 4 * (sum(batch.nbytes for batch in batches) // PAGE + len(large))


def test_rows_of_hardly_any_bytes_are_many_in_a_batch() -> None:
    sent = packets([b"\xfb"] * 300_000 + [EOF_PACKET])
    batches = list(Reading(sent, 1, 8 * 2**20).batches())
    assert sum(batch.num_rows for batch in batches) == 300_000
    assert all(batch.column(0).null_count == batch.num_rows for batch in batches)
    assert 60_000 < batches[0].num_rows < 70_000


@pytest.mark.slow
@pytest.mark.parametrize("beyond", [-10, -6, -5, -4, -1, 0, 1, LONGEST, LONGEST + 1])
def test_a_row_of_more_than_one_packet_is_whole(beyond: int) -> None:
    """Also where its last packet is empty."""
    drawn = random.Random(beyond)
    value = drawn.randbytes(LONGEST + beyond)
    table = [(b"before", b"1"), (value, b"2"), (b"after", None)]
    reading = Reading(packets([*map(row, table), EOF_PACKET]), 2, most=4_000_000, held=True)
    assert reading.rows() == table
    assert not reading.is_open


def test_a_first_cell_of_16_mib_is_no_end_of_the_result() -> None:
    value = b"z" * 2**24
    assert row([value])[0] == 0xFE
    assert Reading(packets([row([value]), EOF_PACKET]), 1).rows() == [(value,)]


def test_an_empty_result_has_no_batch() -> None:
    reading = Reading(packets([EOF_PACKET]), 3)
    assert list(reading.batches()) == []
    assert not reading.is_open


@pytest.mark.parametrize("most", [1, 10**6])
def test_an_error_amid_the_rows_is_the_servers_own_and_leaves_the_connection(most: int) -> None:
    sent = packets([row([b"1"]), row([b"2"]), failure(1969, "Query execution was interrupted")])
    reading = Reading(sent, 1, most=most)
    with pytest.raises(pymysql.OperationalError, match="interrupted") as caught:
        reading.rows()
    assert caught.value.args[0] == 1969
    assert not reading.is_open
    assert reading.connection._rfile is not None


@pytest.mark.parametrize("length", [0, 1, 3, 4, 6, 11])
@pytest.mark.parametrize("held", [True, False])
def test_a_stream_that_ends_amid_the_rows_is_a_lost_connection(length: int, held: bool) -> None:
    sent = packets([row([b"1", b"two"]), row([b"2", b"three"]), EOF_PACKET])[:length]
    reading = Reading(sent, 2, held=held)
    with pytest.raises(pymysql.OperationalError, match="Lost connection") as caught:
        reading.rows()
    assert caught.value.args[0] == 2013
    assert reading.is_open
    assert reading.connection._rfile is None


def test_a_read_that_takes_too_long_is_a_lost_connection() -> None:
    reading = Reading(packets([row([b"1"])]), 1, error=TimeoutError("timed out"))
    with pytest.raises(pymysql.OperationalError, match=r"Lost connection .* \(timed out\)"):
        reading.rows()
    assert reading.connection._rfile is None


@pytest.mark.parametrize(("number", "error"), [(0, pymysql.OperationalError), (99, pymysql.InternalError)])
def test_a_packet_out_of_its_turn_is_refused(number: int, error: type[Exception]) -> None:
    sent = packets([row([b"1"])]) + packets([row([b"2"]), EOF_PACKET], first=number)
    reading = Reading(sent, 1)
    with pytest.raises(error):
        reading.rows()
    assert reading.connection._rfile is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01a",  # one column of two
        b"\x01a\x05b",  # shorter than it says
        b"\x01a\x01b\x01c",  # a column more
        b"\x01a\xfc\x01",  # half of a length
        b"\x01a\xff",
        b"\x01a\xfe" + b"\xff" * 8,
        b"\x01a\xfe" + (2**63 - 1).to_bytes(8, "little") + b"b",
    ],
)
def test_a_row_that_is_none_is_refused(payload: bytes) -> None:
    reading = Reading(packets([row([b"1", b"2"]), payload, EOF_PACKET]), 2)
    with pytest.raises(pymysql.InternalError, match="not of the protocol"):
        reading.rows()
    assert reading.connection._rfile is None


@pytest.mark.parametrize(
    "payload",
    [
        b"\xfe",  # an end without its warnings and its status
        b"\xfe\x00\x00\x02",
        b"\xff\x28\x04",  # an error without its SQLSTATE
        b"\xff\x28\x04#\x80\x81\x82\x83\x84gone",
    ],
)
def test_an_end_or_an_error_that_is_none_is_refused(payload: bytes) -> None:
    reading = Reading(packets([row([b"1"]), payload]), 1)
    with pytest.raises(pymysql.InternalError, match="not of the protocol"):
        reading.rows()
    assert reading.connection._rfile is None


def test_bytes_after_the_end_are_refused() -> None:
    reading = Reading(packets([row([b"1"]), EOF_PACKET, row([b"2"])]), 1)
    with pytest.raises(pymysql.InternalError, match="after the end"):
        reading.rows()
    assert reading.connection._rfile is None


@pytest.mark.slow
@settings(max_examples=examples(short=40, long=100), deadline=None)
@given(garbage=st.lists(PAYLOADS, max_size=5), columns=st.integers(1, 4))
@example(garbage=[b"\xfe"], columns=1)
def test_garbage_is_an_error_or_rows_and_never_more(garbage: list[bytes], columns: int) -> None:
    reading = Reading(packets(garbage), columns)
    try:
        reading.rows()
    except pymysql.MySQLError:
        return
    assert not reading.is_open
