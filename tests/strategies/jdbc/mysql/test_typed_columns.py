"""Texts of the server that are parsed where they were received: the same values as by Arrow's casts of the text, or left to these."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_strategies.jdbc.mysql.typed_columns import Cells, parsed_column
from ingest_strategies.jdbc.values.wire_text import parse_text
from tests.searches import examples
from tests.strategies.jdbc.mysql.test_rows import EOF_PACKET, Reading, packets, row

STAMP = pa.timestamp("us")
TYPES = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.decimal128(1, 0), pa.decimal128(15, 2), pa.decimal128(18, 18), pa.decimal128(38, 10), pa.decimal256(60, 5)),
    *(pa.date32(), STAMP, pa.timestamp("us", "UTC"), pa.float32(), pa.float64(), pa.string(), pa.binary()),
]


def cells(values: Sequence[bytes | None]) -> Cells:
    wire, starts, lengths = bytearray(b"#"), [], []
    for value in values:
        starts.append(len(wire))
        lengths.append(-1 if value is None else len(value))
        wire += value or b""
    return np.frombuffer(bytes(wire), np.uint8), np.array(starts, np.int64), np.array(lengths, np.int32)


def parsed(values: Sequence[bytes | None], target: pa.DataType) -> pa.Array | None:
    return parsed_column(cells(values), target, sum(value is None for value in values))


def by_arrow(values: Sequence[bytes | None], target: pa.DataType) -> pa.Array | None:
    """None: a value is not of the type."""
    try:
        return parse_text(pa.array(values, pa.binary()), target)
    except ValueError:
        return None


def assert_same_or_left(values: Sequence[bytes | None], target: pa.DataType) -> bool:
    """Whether the values were parsed here."""
    found, wanted = parsed(values, target), by_arrow(values, target)
    if found is None:
        return False
    found.validate(full=True)
    assert wanted is not None, (values, target)
    assert found.equals(wanted), (values, target, found, wanted)
    return True


NUMBERS = [
    *(b"0", b"-1", b"7", b"00042", b"127", b"128", b"-128", b"-129", b"255", b"256", b"32767", b"-32768", b"65535"),
    *(b"2147483647", b"2147483648", b"-2147483648", b"4294967295", b"999999999999999999", b"9223372036854775807"),
    *(b"-9223372036854775808", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551615", b"9" * 30),
    *(b"", b"-", b"+1", b" 1", b"1 ", b"1.0", b"1e3", b"0x1", b"\xff", b"--1", b"1-", b"nan"),
]
DECIMALS = [
    *(b"0.00", b"-0.00", b"1.50", b"-1.50", b"9999999999999.99", b"-9999999999999.99", b"10000000000000.00", b"0.5"),
    *(b"1.500", b".50", b"1.", b"-.50", b"1,50", b"1.5e1", b"00001.50", b"1.5 ", b"NaN", b"", b"5", b"-5", b"0"),
    *(b"0.123456789012345678", b"-0.999999999999999999", b"1234567890123456789012345678.0123456789", b"1.0123456789"),
]
DATES = [
    *(b"2024-02-29", b"2023-02-29", b"1900-02-28", b"1900-02-29", b"2000-02-29", b"0001-01-01", b"9999-12-31"),
    *(
        b"0000-00-00",
        b"2024-00-10",
        b"2024-13-01",
        b"2024-04-31",
        b"2024-1-1",
        b"2024-01-00",
        b"0000-01-01",
        b"1970-01-01",
    ),
    *(b"2024/01/01", b"20240101", b"", b"-024-01-01", b"2024-0a-01"),
]
MOMENTS = [
    *(b"2024-02-29 23:59:59", b"2024-02-29 00:00:00.5", b"1969-12-31 23:59:59.999999", b"0001-01-01 00:00:00"),
    *(b"9999-12-31 23:59:59.999999", b"0000-00-00 00:00:00", b"2024-01-01 24:00:00", b"2024-01-01 12:60:00"),
    *(b"2024-01-01 12:00:60", b"2024-01-01T12:00:00", b"2024-01-01 12:00:00.", b"2024-01-01 12:00:00.1234567"),
    *(b"2024-01-01", b"2024-01-01 12:00", b"2024-02-30 12:00:00.123", b"2024-01-01 12:00:00Z", b"2024-01-01 1 :00:00"),
]
EDGES = [*NUMBERS, *DECIMALS, *DATES, *MOMENTS]


@pytest.mark.parametrize("target", TYPES, ids=str)
def test_every_edge_is_parsed_as_by_arrow_or_left_to_it(target: pa.DataType) -> None:
    for value in EDGES:
        assert_same_or_left([value], target)
        assert_same_or_left([None, value, None], target)


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (pa.int64(), [b"-9223372036854775808", b"9223372036854775807", b"0", None, b"00042"]),
        (pa.int8(), [b"-128", b"127"]),
        (pa.uint32(), [b"4294967295", None]),
        (pa.uint64(), [b"9223372036854775807", b"1"]),
        (pa.decimal128(15, 2), [b"9999999999999.99", b"-9999999999999.99", b"-0.01", None, b"0.00"]),
        (pa.decimal128(38, 10), [b"12345678.0123456789", b"-0.0000000001"]),
        (pa.decimal128(9, 0), [b"999999999", b"-5"]),
        (pa.date32(), [b"0001-01-01", b"9999-12-31", b"2000-02-29", None]),
        (STAMP, [b"0001-01-01 00:00:00.000001", b"9999-12-31 23:59:59.999999", b"2024-02-29 12:00:00", None]),
    ],
    ids=str,
)
def test_what_servers_usually_send_is_parsed_here(target: pa.DataType, values: list[bytes | None]) -> None:
    assert assert_same_or_left(values, target)


@settings(max_examples=examples(short=60, long=400), deadline=None)
@given(days=st.lists(st.dates() | st.none(), max_size=30), moments=st.lists(st.datetimes() | st.none(), max_size=30))
def test_any_date_and_any_moment_is_itself(days: list[date | None], moments: list[datetime | None]) -> None:
    texts = [None if day is None else day.isoformat().encode() for day in days]
    found = parsed(texts, pa.date32())
    assert found is not None
    assert found.to_pylist() == days
    written = [None if one is None else one.isoformat(" ", "microseconds").encode() for one in moments]
    stamps = parsed(written, STAMP)
    assert stamps is not None
    assert stamps.to_pylist() == moments


def test_every_day_of_eight_hundred_years_is_itself() -> None:
    days = [date(1600, 1, 1) + timedelta(n) for n in range(0, 292_194, 3)]
    found = parsed([day.isoformat().encode() for day in days], pa.date32())
    assert found is not None
    assert found.to_pylist() == days


@settings(max_examples=examples(short=100, long=2_000), deadline=None)
@given(
    target=st.sampled_from(TYPES),
    values=st.lists(
        st.none() | st.from_regex(rb"\A-?[0-9]{0,22}(\.[0-9]{0,12})?\Z") | st.binary(max_size=12), max_size=6
    ),
)
def test_any_text_is_parsed_as_by_arrow_or_left_to_it(target: pa.DataType, values: list[bytes | None]) -> None:
    assert_same_or_left(values, target)


def typed_rows(
    table: list[list[bytes | None]], types: list[pa.DataType], page_bytes: int = 2**16
) -> list[pa.RecordBatch]:
    sent = packets([*(row(values) for values in table), EOF_PACKET])
    reading = Reading(sent, len(types), page_bytes, types=types)
    return list(reading.batches())


def test_a_batch_has_the_types_that_were_asked_for_or_all_its_text() -> None:
    types = [pa.int32(), pa.decimal128(9, 2), pa.date32(), pa.string(), pa.float64()]
    good: list[bytes | None] = [b"1", b"2.50", b"2024-02-29", "漢".encode(), b"1.5e300"]
    (batch,) = typed_rows([good, [None] * 5, good], types)
    assert batch.schema.types == types
    assert batch.to_pylist()[0] == {
        "c0": 1,
        "c1": pa.scalar("2.50").cast(types[1]).as_py(),
        "c2": date(2024, 2, 29),
        "c3": "漢",
        "c4": 1.5e300,
    }
    for index, odd in ((2, b"0000-00-00"), (3, b"\xff"), (0, b"3000000000"), (1, b"99999999.99")):
        broken = [*good[:index], odd, *good[index + 1 :]]
        (batch,) = typed_rows([good, broken], types)
        assert batch.schema.types == [pa.binary()] * 5
        assert [list(found.values()) for found in batch.to_pylist()] == [good, broken]
