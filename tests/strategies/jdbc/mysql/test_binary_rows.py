"""Rows of prepared statements, byte by byte: split at any byte, long, malformed; and the same values as by the text protocol."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymysql.constants import FIELD_TYPE, FLAG

from ingest_ray.sdk.errors import SourceError
from ingest_strategies.jdbc.mysql import reader
from ingest_strategies.jdbc.mysql.binary_columns import BinaryColumn, binary_columns
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.session import MysqlSession
from tests.searches import examples
from tests.strategies.jdbc.maria import Maria
from tests.strategies.jdbc.mysql.test_rows import EOF_PACKET, LONGEST, Reading, failure, packets, text
from tests.strategies.jdbc.mysql.test_types import TYPES

STAMP = pa.timestamp("us")


@dataclass(frozen=True)
class Field:
    """A column as PyMySQL describes it."""

    type_code: int
    flags: int = 0
    scale: int = 0


def whole(code: str, value: int) -> bytes:
    return struct.pack("<" + code, value)


def moment(value: datetime | date) -> bytes:
    """As short as servers write it."""
    sent = struct.pack("<HBB", value.year, value.month, value.day)
    if isinstance(value, datetime):
        clock = bytes([value.hour, value.minute, value.second])
        if value.microsecond:
            sent += clock + struct.pack("<I", value.microsecond)
        elif any(clock):
            sent += clock
    return bytes([len(sent)]) + sent


INT = st.integers
KINDS: list[tuple[Field, pa.DataType, st.SearchStrategy[Any], Any]] = [
    (Field(FIELD_TYPE.TINY), pa.int8(), INT(-128, 127), lambda value: whole("b", value)),
    (Field(FIELD_TYPE.TINY, FLAG.UNSIGNED), pa.uint8(), INT(0, 255), lambda value: whole("B", value)),
    (Field(FIELD_TYPE.SHORT), pa.int16(), INT(-(2**15), 2**15 - 1), lambda value: whole("h", value)),
    (Field(FIELD_TYPE.YEAR, FLAG.UNSIGNED), pa.int16(), INT(0, 2155), lambda value: whole("h", value)),
    (Field(FIELD_TYPE.INT24), pa.int32(), INT(-(2**23), 2**23 - 1), lambda value: whole("i", value)),
    (Field(FIELD_TYPE.LONG, FLAG.UNSIGNED), pa.uint32(), INT(0, 2**32 - 1), lambda value: whole("I", value)),
    (Field(FIELD_TYPE.LONGLONG), pa.int64(), INT(-(2**63), 2**63 - 1), lambda value: whole("q", value)),
    (Field(FIELD_TYPE.LONGLONG, FLAG.UNSIGNED), pa.uint64(), INT(0, 2**64 - 1), lambda value: whole("Q", value)),
    (Field(FIELD_TYPE.LONGLONG), pa.int8(), INT(-128, 127), lambda value: whole("q", value)),  # of a view
    (
        Field(FIELD_TYPE.FLOAT),
        pa.float32(),
        st.floats(width=32, allow_nan=False),
        lambda value: struct.pack("<f", value),
    ),
    (Field(FIELD_TYPE.DOUBLE), pa.float64(), st.floats(allow_nan=False), lambda value: struct.pack("<d", value)),
    (Field(FIELD_TYPE.DATE), pa.date32(), st.dates(), moment),
    (Field(FIELD_TYPE.DATETIME, 0, 6), STAMP, st.datetimes(), moment),
    (
        Field(FIELD_TYPE.NEWDECIMAL),
        pa.decimal128(30, 2),
        st.decimals(-(10**27), 10**27, places=2),
        lambda value: text(f"{value:f}".encode()),
    ),
    (
        Field(FIELD_TYPE.VAR_STRING),
        pa.string(),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
        lambda value: text(value.encode()),
    ),
    (Field(FIELD_TYPE.BLOB), pa.binary(), st.sampled_from([0, 250, 251, 65_536]).map(bytes) | st.binary(), text),
]


def binary_row(sent: Sequence[bytes | None]) -> bytes:
    bits = 0
    for index, value in enumerate(sent):
        bits |= (value is None) << (index + 2)
    return b"\0" + bits.to_bytes((len(sent) + 9) // 8, "little") + b"".join(value or b"" for value in sent)


def forms_of(kinds: Sequence[int]) -> list[BinaryColumn]:
    forms = binary_columns([KINDS[kind][0] for kind in kinds], [KINDS[kind][1] for kind in kinds])
    assert forms is not None
    return forms


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], list[list[Any]]]:
    kinds = draw(st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=20))
    rows = st.tuples(*(st.none() | KINDS[kind][2] for kind in kinds)).map(list)
    return kinds, draw(st.lists(rows, max_size=12))


@pytest.mark.slow
@settings(max_examples=examples(short=60, long=400), deadline=None)
@given(table=tables(), most=st.sampled_from([1, 2, 3, 100, 10**6]), seed=st.integers(), held=st.booleans())
def test_any_values_arrive_however_their_bytes_are_cut(
    table: tuple[list[int], list[list[Any]]], most: int, seed: int, held: bool
) -> None:
    kinds, rows = table
    sent = [
        binary_row([None if value is None else KINDS[kind][3](value) for kind, value in zip(kinds, row, strict=True)])
        for row in rows
    ]
    types = [KINDS[kind][1] for kind in kinds]
    reading = Reading(
        packets([*sent, EOF_PACKET]), len(kinds), most=most, seed=seed, held=held, types=types, forms=forms_of(kinds)
    )
    found = []
    for batch in reading.batches():
        assert batch.schema.types == types
        found += [list(row.values()) for row in batch.to_pylist()]
    assert found == rows
    assert not reading.is_open


def test_many_small_pages_hold_the_same_rows() -> None:
    kinds = list(range(len(KINDS)))
    row = [
        1,
        2,
        3,
        2024,
        5,
        6,
        7,
        2**64 - 1,
        8,
        0.5,
        5e-324,
        date(1, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59, 999_999),
    ]
    row += [Decimal("-1234567890123456789012345678.90"), "漢", b"\xff"]
    rows = [row, [None] * len(kinds)] * 300
    sent = [
        binary_row(
            [None if value is None else KINDS[kind][3](value) for kind, value in zip(kinds, values, strict=True)]
        )
        for values in rows
    ]
    types = [KINDS[kind][1] for kind in kinds]
    reading = Reading(packets([*sent, EOF_PACKET]), len(kinds), 2_000, most=777, types=types, forms=forms_of(kinds))
    batches = list(reading.batches())
    assert len(batches) > 10
    assert [list(found.values()) for batch in batches for found in batch.to_pylist()] == rows


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        (b"\x00", b"0000-00-00 00:00:00.000"),
        (b"\x04\xe8\x07\x00\x0a", b"2024-00-10 00:00:00.000"),
        (b"\x0b\xe8\x07\x02\x1f\x0a\x0b\x0c\x78\xe0\x01\x00", b"2024-02-31 10:11:12.123"),
    ],
)
def test_a_batch_with_a_time_that_is_none_is_the_servers_text(sent: bytes, written: bytes) -> None:
    fields = [
        Field(FIELD_TYPE.LONG),
        Field(FIELD_TYPE.DATETIME, 0, 3),
        Field(FIELD_TYPE.NEWDECIMAL),
        Field(FIELD_TYPE.DATE),
    ]
    types = [pa.int32(), STAMP, pa.decimal128(5, 2), pa.date32()]
    forms = binary_columns(fields, types)
    assert forms is not None
    good = binary_row([whole("i", -5), moment(datetime(2024, 5, 6)), text(b"1.50"), moment(date(2024, 2, 29))])
    bad = binary_row([None, sent, text(b"0.00"), b"\x00"])
    (batch,) = Reading(packets([good, bad, EOF_PACKET]), 4, types=types, forms=forms).batches()
    assert batch.schema.types == [pa.binary()] * 4
    assert [list(row.values()) for row in batch.to_pylist()] == [
        [b"-5", b"2024-05-06 00:00:00.000", b"1.50", b"2024-02-29"],
        [None, written, b"0.00", b"0000-00-00"],
    ]


def test_text_that_is_no_utf_8_is_left_as_bytes() -> None:
    fields, types = [Field(FIELD_TYPE.VAR_STRING), Field(FIELD_TYPE.DOUBLE)], [pa.string(), pa.float64()]
    forms = binary_columns(fields, types)
    assert forms is not None
    sent = packets([binary_row([text(b"\xff\xfe"), struct.pack("<d", 0.1)]), EOF_PACKET])
    (batch,) = Reading(sent, 2, types=types, forms=forms).batches()
    assert [list(row.values()) for row in batch.to_pylist()] == [[b"\xff\xfe", b"0.1"]]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",  # no bits of NULLs
        b"\x01\x00\x05\x00\x00\x00\x01a",  # another first byte
        b"\x00\x00\x05\x00\x00",  # half a number
        b"\x00\x00\x05\x00\x00\x00",  # a value less
        b"\x00\x00\x05\x00\x00\x00\x02a",  # a text that is shorter than it says
        b"\x00\x00\x05\x00\x00\x00\x01ab",  # bytes behind the last value
        b"\x00\x00\x05\x00\x00\x00\xfb",  # the text protocol's NULL
        b"\x00\x00\x05\x00\x00\x00\xfc\x01",  # half a length
        b"\x00\x00\x05\x00\x00\x00\xfe" + b"\xff" * 8,
        b"\x00\x00\x05\x00\x00\x00\xfe" + (2**63 - 1).to_bytes(8, "little") + b"b",
    ],
)
def test_a_row_that_is_none_is_refused(payload: bytes) -> None:
    fields, types = [Field(FIELD_TYPE.LONG), Field(FIELD_TYPE.VAR_STRING)], [pa.int32(), pa.string()]
    forms = binary_columns(fields, types)
    assert forms is not None
    sent = packets([binary_row([whole("i", 1), text(b"a")]), payload, EOF_PACKET])
    reading = Reading(sent, 2, types=types, forms=forms)
    with pytest.raises(pymysql.InternalError, match="not of the protocol"):
        reading.rows()
    assert reading.connection._rfile is None


def test_an_error_amid_the_rows_is_the_servers_own_and_leaves_the_connection() -> None:
    forms = binary_columns([Field(FIELD_TYPE.LONG)], [pa.int32()])
    assert forms is not None
    sent = packets([binary_row([whole("i", 1)]), failure(1969, "Query execution was interrupted")])
    reading = Reading(sent, 1, types=[pa.int32()], forms=forms)
    with pytest.raises(pymysql.OperationalError, match="interrupted"):
        reading.rows()
    assert not reading.is_open
    assert reading.connection._rfile is not None


@pytest.mark.slow
@pytest.mark.parametrize("beyond", [-14, -11, -10, -9, -1, 0, 1, LONGEST + 1])
def test_a_row_of_more_than_one_packet_is_whole(beyond: int) -> None:
    fields, types = [Field(FIELD_TYPE.LONG), Field(FIELD_TYPE.LONG_BLOB)], [pa.int32(), pa.binary()]
    forms = binary_columns(fields, types)
    assert forms is not None
    table = [(1, b"before"), (2, b"\xfe" * (LONGEST + beyond)), (3, None)]
    sent = [binary_row([whole("i", n), None if value is None else text(value)]) for n, value in table]
    reading = Reading(packets([*sent, EOF_PACKET]), 2, most=4_000_000, held=True, types=types, forms=forms)
    assert reading.rows() == table


@pytest.mark.parametrize(
    ("field", "target"),
    [
        (Field(FIELD_TYPE.TIME), pa.string()),
        (Field(FIELD_TYPE.LONG), pa.string()),
        (Field(FIELD_TYPE.DOUBLE), pa.float32()),
        (Field(FIELD_TYPE.DATETIME), pa.date32()),
        (Field(FIELD_TYPE.DATE), STAMP),
        (Field(FIELD_TYPE.VAR_STRING), pa.decimal128(5, 2)),
        (Field(FIELD_TYPE.NEWDECIMAL), pa.string()),
        (Field(FIELD_TYPE.BIT), pa.uint64()),
        (Field(FIELD_TYPE.GEOMETRY), pa.binary()),
    ],
)
def test_a_column_that_is_sent_as_another_type_is_left_to_the_text_protocol(field: Field, target: pa.DataType) -> None:
    assert binary_columns([field], [target]) is None
    assert binary_columns([], [target]) is None


def open_session(maria: Maria) -> MysqlSession:
    return MysqlSession(MysqlConfig(url=maria.url), lambda message, number: SourceError(message))


@pytest.mark.services
def test_every_type_is_sent_in_binary_form_with_the_values_of_the_text_protocol(
    maria: Maria, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria.run("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', time_zone = '+00:00'")
    columns = ", ".join(f"c{index} {kind} NULL DEFAULT NULL" for index, (kind, _, _) in enumerate(TYPES))
    maria.run(f"CREATE TABLE t (n int PRIMARY KEY, {columns})")
    maria.run("INSERT INTO t (n) VALUES (-1)")
    for n in range(max(len(values) for _, _, values in TYPES)):
        literals = ", ".join(str(values[n % len(values)][0]) for _, _, values in TYPES)
        maria.run(f"INSERT INTO t VALUES ({n}, {literals})")
    unit, ways = maria.unit("t"), []
    prepared = MysqlSession.prepared_batches

    def spy(*arguments: Any) -> Any:
        found = prepared(*arguments)
        ways.append(found is not None)
        return found

    monkeypatch.setattr(MysqlSession, "prepared_batches", spy)
    binary = unit.run()
    assert ways
    assert all(ways)
    monkeypatch.setattr(MysqlSession, "prepared_batches", lambda *_: None)
    plain = unit.run()
    assert binary.rejects == plain.rejects == []
    assert sorted(binary.rows, key=lambda row: int(row["n"])) == sorted(plain.rows, key=lambda row: int(row["n"]))


@pytest.mark.services
def test_a_server_that_prepares_no_more_statements_is_read_by_text(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY, v varchar(9))")
    maria.run("INSERT INTO t VALUES (1, 'a'), (2, NULL)")
    before = maria.run("SELECT @@global.max_prepared_stmt_count")[0][0]
    maria.run("SET GLOBAL max_prepared_stmt_count = 0")
    try:
        session = open_session(maria)
        assert session.prepared_batches("SELECT n, v FROM t", 2**16, [pa.int32(), pa.string()]) is None
        session.close()
        assert maria.unit("t").run().rows == [{"n": 1, "v": "a"}, {"n": 2, "v": None}]
    finally:
        maria.run(f"SET GLOBAL max_prepared_stmt_count = {before}")


@pytest.mark.services
def test_a_prepared_statement_leaves_the_connection_and_the_server_as_they_were(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY)")
    maria.run("INSERT INTO t SELECT seq FROM seq_1_to_100")
    session = open_session(maria)
    for _ in range(3):
        batches = session.prepared_batches("SELECT n FROM t ORDER BY n", 2**16, [pa.int32()])
        assert batches is not None
        assert [value for batch in batches for value in batch.column(0).to_pylist()] == list(range(1, 101))
    assert session.prepared_batches("SELECT ? FROM t", 2**16, [pa.int32()]) is None
    assert session.prepared_batches("SELECT n FROM t", 2**16, [pa.string()]) is None
    assert session.rows("SHOW SESSION STATUS LIKE 'Com_stmt_close'")[0][1] == "5"
    with pytest.raises(SourceError, match="no_such"):
        session.prepared_batches("SELECT no_such FROM t", 2**16, [pa.int32()])
    assert session.rows("SELECT 1") == [(1,)]
    session.close()


def test_prepared_statements_select_floats_as_they_are_and_times_as_text() -> None:
    from ingest_strategies.jdbc.mysql.types import carrier_of, prepared_form

    selected = {
        name: prepared_form(name, carrier_of(name, name, None)) for name in ("float", "double", "time", "bit", "int")
    }
    assert selected == {"float": "{0}", "double": "{0}", "time": "CAST({0} AS CHAR)", "bit": "{0} + 0", "int": "{0}"}
    assert reader.prepared_form is prepared_form
