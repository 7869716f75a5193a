"""Columns of plain letters, near days and short numbers need no look at each value; any other gets one."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ingest_ray.sinks.value_limits import ValueLimits, are_short, find_misfits, is_ascii

TEXTS = ["a", None, "", "plain", "\u00e9", "z" * 100, None, "\U00020000", "end"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_the_bytes_together_say_what_the_values_say(kind: pa.DataType) -> None:
    whole = pa.array(TEXTS, kind)
    for first in range(len(whole) + 1):
        for size in range(len(whole) - first + 1):
            part = whole.slice(first, size)
            assert is_ascii(part) is (pc.all(pc.string_is_ascii(part)).as_py() in (True, None)), (first, size)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_bytes_that_are_no_text_are_found_in_any_slice(kind: pa.DataType) -> None:
    width = 4 if kind == pa.string() else 8
    contents = [b"ok", b"a\xff", "\u00e9".encode(), b"\xed\xa0\x80"]
    ends = [sum(map(len, contents[:count])) for count in range(len(contents) + 1)]
    offsets = pa.py_buffer(b"".join(end.to_bytes(width, "little") for end in ends))
    column = pa.Array.from_buffers(kind, 4, [None, offsets, pa.py_buffer(b"".join(contents))])
    for first in range(4):
        batch = pa.record_batch({"t": column.slice(first)})
        found = find_misfits(batch, batch.schema, ValueLimits("here"))
        assert sorted(found) == [row - first for row in (1, 3) if row >= first]


@pytest.mark.parametrize("days", [(-5, 5), (0, 0)])
def test_days_beyond_are_found_and_no_others(days: tuple[int, int]) -> None:
    values = [None, -6, -5, 0, 5, 6, 2**31 - 1, -(2**31)]
    batch = pa.record_batch({"d": pa.array(values, pa.date32()), "n": pa.array([None] * 8, pa.date32())})
    found = find_misfits(batch, batch.schema, ValueLimits("here", days=days))
    first, last = days
    assert sorted(found) == [row for row, day in enumerate(values) if day is not None and not first <= day <= last]


@pytest.mark.parametrize("precision", [1, 5, 18, 19, 38])
def test_numbers_with_too_many_digits_are_found_and_no_others(precision: int) -> None:
    most = 10**precision - 1
    numbers = [0, most, -most, None, most + 1, -most - 1, 2**63 - 1, -(2**63), 2**64, -(2**64), 10**37]
    stored = b"".join((number or 0).to_bytes(16, "little", signed=True) for number in numbers)
    valid = pa.array([number is not None for number in numbers]).buffers()[1]
    column = pa.Array.from_buffers(pa.decimal128(precision, 0), len(numbers), [valid, pa.py_buffer(stored)])
    for first in range(len(numbers)):
        batch = pa.record_batch({"d": column.slice(first)})
        expected = [row for row, number in enumerate(numbers[first:]) if number is not None and abs(number) > most]
        assert sorted(find_misfits(batch, batch.schema, ValueLimits("here"))) == expected
        assert not (are_short(batch.column(0)) and expected)
    assert are_short(column.slice(0, 4)) is (precision <= 18)
    assert are_short(pa.array([Decimal(1), None], pa.decimal128(precision, 0))) is (precision <= 18)
