"""Partition transforms: the published examples, and random values against plain Python."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest_ray.sdk.types import Layout, Partition
from ingest_ray.sdk.types.layout import parse_partition
from ingest_ray.sinks.layout.murmur3 import hash_bytes, hash_longs
from ingest_ray.sinks.layout.transforms import _hash_texts, partition_type, partition_values

MICROSECONDS = pa.timestamp("us", "UTC")


def values(text: str, column: pa.Array) -> list[Any]:
    partition = parse_partition(text)
    found = partition_values(partition, pa.record_batch([column], names=[partition.column or "x"]), "shop")
    assert found.type == partition_type(partition, column.type)
    return list(found.to_pylist())


def test_hashes_are_those_of_the_specification() -> None:
    """https://iceberg.apache.org/spec/#appendix-b-32-bit-hash-requirements"""
    moment = dt.datetime(2017, 11, 16, 22, 31, 8, tzinfo=dt.UTC)
    longs = pa.array([34, (dt.date(2017, 11, 16) - dt.date(1970, 1, 1)).days, int(moment.timestamp() * 1_000_000)])
    assert hash_longs(longs.to_numpy()).tolist() == [2017239379, -653330422, -2047944441]
    texts = pa.array([b"iceberg", bytes([0, 1, 2, 3]), Decimal("14.20").scaleb(2).__int__().to_bytes(2, "big")])
    assert _hash_texts(texts).tolist() == [1210000089, -188683207, -500754589]
    assert hash_bytes(pa.array([], pa.uint8()).to_numpy(), pa.array([0], pa.int64()).to_numpy()).tolist() == []


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=30), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_hashes_of_bytes_are_those_of_plain_python(texts: list[bytes], skipped: int) -> None:
    column = pa.array([b"skip"] * skipped + texts, pa.binary()).slice(skipped)
    assert _hash_texts(column).tolist() == [plain_murmur3(text) for text in texts]


def plain_murmur3(text: bytes) -> int:
    def rotated(word: int, bits: int) -> int:
        return ((word << bits) | (word >> (32 - bits))) & 0xFFFFFFFF

    def mixed(word: int) -> int:
        return rotated(word * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF

    state, whole = 0, len(text) // 4 * 4
    for at in range(0, whole, 4):
        state = rotated(state ^ mixed(int.from_bytes(text[at : at + 4], "little")), 13) * 5 + 0xE6546B64 & 0xFFFFFFFF
    if text[whole:]:
        state ^= mixed(int.from_bytes(text[whole:], "little"))
    state ^= len(text)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state = (state ^ (state >> shift)) * factor & 0xFFFFFFFF
    return state - 2**32 if state >= 2**31 else state


@given(st.lists(st.none() | st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23)), max_size=20))
@settings(max_examples=40, deadline=None)
def test_parts_of_times_are_those_of_the_calendar_in_utc(moments: list[dt.datetime | None]) -> None:
    for kind in (pa.timestamp("us"), MICROSECONDS):
        column = pa.array(moments, pa.timestamp("us")).cast(kind)
        known = [None if moment is None else moment for moment in moments]
        assert values("year(t)", column) == [moment and moment.year for moment in known]
        assert values("month(t)", column) == [moment and f"{moment.year:04}-{moment.month:02}" for moment in known]
        assert values("day(t)", column) == [moment and moment.date() for moment in known]
        hours = [moment and f"{moment.date().isoformat()}-{moment.hour:02}" for moment in known]
        assert values("hour(t)", column) == hours
    days = pa.array([moment and moment.date() for moment in moments], pa.date32())
    assert values("month(d)", days) == values("month(t)", days.cast(pa.timestamp("us")))


def test_a_date_that_has_no_agreed_text_is_in_the_partition_of_null() -> None:
    far = pa.array([-(2**31) + 1, 0, 2**31 - 1], pa.int32()).cast(pa.date32())
    assert values("month(d)", far) == [None, "1970-01", None]
    assert values("year(d)", far) == [None, 1970, None]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64()])
def test_truncated_numbers_are_multiples_below(kind: pa.DataType) -> None:
    bits = kind.bit_width
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    numbers = [least, -11, -10, -1, 0, 9, 10, most, None]
    expected = [None if one is None else max(least, one // 10 * 10) for one in numbers]
    assert values("truncate(10, n)", pa.array(numbers, kind)) == expected


def test_truncated_texts_are_cut_between_characters() -> None:
    assert values("truncate(2, s)", pa.array(["é\U0001f600x", "a", "", None])) == ["é\U0001f600", "a", "", None]


def test_the_endpoint_is_the_same_in_every_row() -> None:
    assert values("endpoint", pa.array([1, 2])) == ["shop", "shop"]
    assert parse_partition("identity(endpoint)") == Partition("identity", "endpoint")
    assert str(parse_partition("identity(endpoint)")) == "identity(endpoint)"


def test_a_transform_does_not_take_every_type() -> None:
    assert partition_type(parse_partition("month(s)"), pa.string()) is None
    assert partition_type(parse_partition("hour(d)"), pa.date32()) is None
    assert partition_type(parse_partition("bucket(4, f)"), pa.float64()) is None
    assert partition_type(parse_partition("truncate(4, f)"), pa.float64()) is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("months(a)", "unknown transform 'months'"),
        ("bucket(a)", "needs a number"),
        ("bucket(0, a)", "needs a number"),
        ("truncate(x, a)", "needs a number"),
        ("day()", "names no column"),
        (" ", "an empty partition"),
    ],
)
def test_an_entry_that_is_not_understood_says_what_is(entry: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        Layout(partition_by=(entry,))


def test_a_layout_has_each_partition_once_and_survives_renames() -> None:
    with pytest.raises(ValidationError, match="named twice"):
        Layout(partition_by=("month(a)", "month( a )"))
    layout = Layout(partition_by=("month(a)", "b", "bucket(4, b)"), cluster_by=("a",)).renamed({"a": "at"})
    assert layout.partition_by == ("month(at)", "b", "bucket(4, b)")
    assert layout.cluster_by == ("at",)
    assert [one.name for one in layout.partitions or ()] == ["at_month", "b", "b_bucket_4"]
