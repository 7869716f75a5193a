"""Equal JSON and nested values have one text, different ones have two."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest

from ingest_ray.sinks.canonical_json import canonical, comparable_field


def text_of(document: str) -> str:
    return str(canonical(pa.array([document])).to_pylist()[0])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ("1", "1.0"),
        ("100", "1e2"),
        ("-0", "0.00"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
        ('"\\u00e9"', '"é"'),
        (" [ ] ", "[]"),
    ],
)
def test_equal_documents_have_one_text(left: str, right: str) -> None:
    assert text_of(left) == text_of(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1", '"1"'),
        ("1", "true"),
        ("null", '"null"'),
        ("[1, 2]", "[2, 1]"),
        ("10", "1"),
        ("0.1", "0.10000000000000000001"),
        ('{"a": null}', "{}"),
    ],
)
def test_different_documents_have_two_texts(left: str, right: str) -> None:
    assert text_of(left) != text_of(right)


def test_nested_values_and_their_json_have_one_text() -> None:
    rows = [{"n": 1, "x": 0.1, "d": Decimal("1.50"), "t": [None, "a"]}]
    kind = pa.struct([("n", pa.int64()), ("x", pa.float64()), ("d", pa.decimal128(9, 2)), ("t", pa.list_(pa.string()))])
    nested = canonical(pa.array(rows, kind)).to_pylist()
    assert nested == [text_of('{"x": 0.1, "n": 1.0, "t": [null, "a"], "d": "1.50"}')]


def test_moments_are_compared_in_utc() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(hours=2)))
    columns = [
        pa.array([[moment]], pa.list_(pa.timestamp("us", "UTC"))),
        pa.array([[there]], pa.list_(pa.timestamp("us", "+02:00"))),
    ]
    assert canonical(columns[0]).to_pylist() == canonical(columns[1]).to_pylist()


def test_values_that_a_driver_returns_in_a_form_of_its_own_are_left_out() -> None:
    assert comparable_field(pa.field("a", pa.list_(pa.month_day_nano_interval()))) is None
    assert comparable_field(pa.field("a", pa.int64())) == pa.field("a", pa.int64())
