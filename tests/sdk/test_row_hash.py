"""The row hash: independent of order and of batch cuts, dependent on everything else."""

import random
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.sdk import row_hash as hashing
from ingest_ray.sdk.few_rows_hash import hashes_of_rows
from ingest_ray.sdk.row_hash import RowHash, knows_hashes, plain, row_hash, row_hashes
from tests.searches import examples

NESTED = pa.list_(pa.struct([("f", pa.float64()), ("l", pa.list_(pa.string()))]))
SCHEMA = pa.schema([("i", pa.int64()), ("s", pa.string()), ("d", pa.decimal256(60, 2)), ("n", NESTED)])

texts = st.none() | st.text(max_size=3)
floats = st.none() | st.floats(width=64)
nested = st.none() | st.lists(
    st.none() | st.fixed_dictionaries({"f": floats, "l": st.none() | st.lists(texts, max_size=2)}), max_size=2
)
decimals = st.none() | st.decimals(
    allow_nan=False, allow_infinity=False, places=2, min_value=-(10**50), max_value=10**50
)
rows = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "s": texts,
        "d": decimals.map(lambda d: d and Decimal(d)),
        "n": nested,
    }
)


def combine(*digests: str) -> str:
    """The hash of all rows of several parts, from the hashes of the parts."""
    return f"{sum(int(digest, 16) for digest in digests) % 2**64:016x}"


def batch(values: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(values, schema=SCHEMA)


@settings(max_examples=examples(short=30, long=60), deadline=None)
@given(st.lists(rows, max_size=12), st.randoms(use_true_random=False), st.data())
def test_order_and_cuts_do_not_matter(
    values: list[dict[str, Any]], shuffler: random.Random, data: st.DataObject
) -> None:
    whole = batch(values)
    cut = data.draw(st.integers(0, len(values)))
    mixed = list(values)
    shuffler.shuffle(mixed)
    expected = row_hash(whole)
    assert row_hash(whole.slice(cut), whole.slice(0, cut)) == expected
    assert combine(row_hash(whole.slice(0, cut)), row_hash(whole.slice(cut))) == expected
    assert row_hash(batch(mixed)) == expected


@settings(max_examples=examples(short=30, long=60), deadline=None)
@given(st.lists(rows, max_size=6), rows)
def test_one_row_more_changes_it(values: list[dict[str, Any]], extra: dict[str, Any]) -> None:
    assert row_hash(batch(values)) != row_hash(batch([*values, extra]))
    assert row_hash(batch([*values, extra])) != row_hash(batch([*values, extra, extra]))


@settings(max_examples=examples(short=30, long=60), deadline=None)
@given(rows, rows)
def test_two_rows_hash_alike_only_when_their_bits_are_alike(first: dict[str, Any], second: dict[str, Any]) -> None:
    alike = repr(batch([first]).to_pylist()) == repr(batch([second]).to_pylist())  # repr tells -0.0 from 0.0
    assert (row_hash(batch([first])) == row_hash(batch([second]))) == alike


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int64(), [None, 0, 1, -1]),
        (pa.string(), [None, "", "0", "\0", "NULL", "[]"]),
        (pa.binary(), [None, b"", b"\0", b"\0\0"]),
        (pa.float64(), [None, 0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324]),
        (pa.list_(pa.int32()), [None, [], [None], [None, None], [0], [0, 0], [1, None], [None, 1]]),
        (
            pa.list_(pa.list_(pa.int32())),
            [None, [], [None], [[]], [[], []], [[1, 2]], [[1], [2]], [[1, 2], []], [[1], None]],
        ),
        (pa.struct([("x", pa.int32()), ("y", pa.int32())]), [None, {}, {"x": 1}, {"y": 1}, {"x": 0}, {"x": 0, "y": 0}]),
        (
            pa.map_(pa.string(), pa.int32()),
            [None, [], [("a", None)], [("a", 0)], [("a", 0), ("b", 0)], [("b", 0), ("a", 0)]],
        ),
        (pa.list_(pa.int32(), 2), [None, [None, None], [0, None], [None, 0], [0, 0]]),
    ],
    ids=str,
)
def test_values_that_look_alike_differ(kind: pa.DataType, values: list[Any]) -> None:
    column = pa.array(values, kind)
    digests = [row_hash(pa.record_batch([column.slice(index, 1)], ["v"])) for index in range(len(values))]
    assert len(set(digests)) == len(values)


def test_the_column_of_a_value_counts() -> None:
    first = pa.record_batch({"a": pa.array([1], pa.int64()), "b": pa.array([None], pa.int64())})
    second = pa.record_batch({"a": pa.array([None], pa.int64()), "b": pa.array([1], pa.int64())})
    assert row_hash(first) != row_hash(second)


@pytest.mark.parametrize(
    "kind",
    [
        pa.null(), pa.bool_(), pa.int8(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(),
        pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
        pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.timestamp("us", "Europe/Rome"), pa.timestamp("ns"),
        pa.duration("ms"), pa.month_day_nano_interval(), pa.decimal32(5, 2), pa.decimal64(12, 2), pa.decimal128(38, -2),
        pa.decimal256(76, 10), pa.binary(3), pa.large_string(), pa.large_binary(), pa.string_view(), pa.binary_view(),
        pa.uuid(), pa.json_(), pa.list_view(pa.int8()), pa.large_list(pa.month_day_nano_interval()),
        pa.dictionary(pa.int8(), pa.string()), pa.struct([]), pa.run_end_encoded(pa.int32(), pa.int64()),
        pa.map_(pa.string(), pa.list_(pa.float16())),
    ],
    ids=str,
)  # fmt: skip
def test_every_type_that_can_be_staged_can_be_hashed(kind: pa.DataType) -> None:
    column = pa.nulls(3, kind)
    once = row_hash(pa.record_batch([column], ["v"]))
    assert once == combine(*[row_hash(pa.record_batch([column.slice(i, 1)], ["v"])) for i in range(3)])
    assert once != row_hash()


def test_rows_without_columns_are_counted() -> None:
    empty = pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))
    assert empty.num_rows == 2
    assert row_hash(empty) == combine(row_hash(empty.slice(0, 1)), row_hash(empty.slice(1)))
    assert row_hash(empty) != row_hash(empty.slice(0, 1)) != row_hash()


def test_it_counts_its_rows() -> None:
    counted = RowHash()
    counted.update(pa.record_batch({"a": [1, 2]}))
    counted.update(pa.record_batch({"a": [3]}))
    assert counted.rows == 3


FLAT = pa.schema(
    [
        ("b", pa.bool_()),
        *((f"i{kind}", kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
        *((f"u{kind}", kind) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
        ("f", pa.float64()),
        ("s", pa.string()),
        ("y", pa.binary()),
        *((f"d{digits}", pa.decimal128(digits, 2)) for digits in (4, 9, 18, 38)),
        ("w", pa.decimal256(60, 2)),
        ("z", pa.dictionary(pa.int8(), pa.large_string())),
    ]
)


def _values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_unsigned_integer(kind):
        return st.integers(0, 2**kind.bit_width - 1)
    if pa.types.is_integer(kind):
        return st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
    if pa.types.is_floating(kind):
        return st.floats(width=64)
    if pa.types.is_decimal(kind):
        most = 10 ** min(kind.precision, 38) - 1
        return st.integers(-most, most).map(lambda unscaled: Decimal(unscaled).scaleb(-2, EXACT))
    return st.binary(max_size=40) if pa.types.is_binary(kind) else st.text(max_size=30)


EXACT = Context(prec=60)
flat_rows = st.fixed_dictionaries({field.name: st.none() | _values(field.type) for field in FLAT})


def test_the_installed_duckdb_has_the_hashes_of_few_rows() -> None:
    assert knows_hashes()


@settings(max_examples=examples(short=60, long=600), deadline=None)
@given(st.lists(flat_rows, min_size=1, max_size=4), st.integers(0, 3))
def test_few_rows_have_the_hashes_of_a_query(values: list[dict[str, Any]], skipped: int) -> None:
    rows = pa.RecordBatch.from_pylist(values, schema=FLAT).slice(min(skipped, len(values) - 1))
    columns = [plain(column) for column in rows.columns]
    by_query = hashing._hashes_by_query(hashing._named(columns)).to_pylist()
    assert hashes_of_rows(columns, hashing._SALT) == by_query
    assert int(row_hash(rows), 16) == sum(by_query) % 2**64


def test_few_rows_are_hashed_without_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.record_batch({"a": [1, 2], "b": ["x", None]})
    assert knows_hashes()
    expected = hashing._hashes_by_query(hashing._named(rows.columns)).to_pylist()
    monkeypatch.setattr(hashing, "_connection", lambda: pytest.fail("a query"))
    assert row_hash(rows) == f"{sum(expected) % 2**64:016x}"
    assert row_hashes(rows).to_pylist() == expected


def test_text_that_is_no_utf_8_has_the_hash_of_its_bytes() -> None:
    spoilt = pa.array([b"\xff\xfe and more than twelve"]).view(pa.string())
    for column in (spoilt, spoilt.cast(pa.large_binary()).view(pa.large_string())):
        rows = pa.record_batch([column], ["v"])
        assert (
            hashes_of_rows([column], hashing._SALT)
            == hashing._hashes_by_query(hashing._named(rows.columns)).to_pylist()
        )


def test_another_duckdb_is_asked_for_every_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the functions differ, the sum over few rows and many must still be one."""
    monkeypatch.setattr(hashing, "hashes_of_rows", lambda columns, salt: [1] * len(columns[0]))
    knows_hashes.cache_clear()
    try:
        assert not knows_hashes()
        rows = pa.record_batch({"a": [1, 2, 3]})
        assert row_hash(rows) == combine(*[row_hash(rows.slice(index, 1)) for index in range(3)])
        assert row_hashes(rows).to_pylist() == hashing._hashes_by_query(hashing._named(rows.columns)).to_pylist()
    finally:
        knows_hashes.cache_clear()
