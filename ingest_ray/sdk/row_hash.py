"""An order-independent hash of rows: that of the staged rows must equal that of the committed rows.

The hash of a set of rows is the sum, modulo 2^64, of the hashes of its rows. It does not depend on the order of rows
or on how they were cut into batches, hashes of parts add up, and a row that occurs twice counts twice (an exclusive or would
cancel it). Values are hashed as the bits that Arrow holds: NULL, the empty string, 0, -0.0 and NaN all differ, and so do NULL, `[]`
and `[NULL]`. Column names are not hashed: the schema fingerprint contains them.

DuckDB hashes a row in one vectorised pass. The hash functions are those of the installed DuckDB: compare only hashes
of one DuckDB version, and do not store them for longer than a run. Few rows get the same hashes without a query: `few_rows_hash`.
"""

import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.few_rows_hash import hashes_of_rows, is_small
from ingest_ray.sdk.scratch_database import open_scratch

_MODULUS = 1 << 64
_SALT = 0x9E3779B97F4A7C15  # DuckDB's hash(0) is 0: without a salt a row of one zero would not count
_EMPTY_ROW = 0xD1B54A32D192ED03  # the hash of a row without columns

_INTEGERS = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}

_TEXT_SAMPLE = ["", "a", "eight by", "twelve bytes", "more than twelve \u00e9"]
_SAMPLE: tuple[tuple[pa.DataType, list[Any]], ...] = (
    (pa.null(), [None] * 5),
    (pa.bool_(), [False, True, None, False, True]),
    *((kind, [0, 1, -1, -128, 127]) for kind in _INTEGERS.values()),
    *((kind, [0, 1, 5, 127, 255]) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    *((kind, _TEXT_SAMPLE) for kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())),
    (pa.binary(16), [bytes(range(start, start + 16)) for start in range(5)]),
    *(
        (pa.decimal128(digits, 1), [Decimal("0.0"), Decimal("-1.5"), Decimal(7), Decimal(-1), Decimal(99)])
        for digits in (4, 9, 18, 38)
    ),
)


class RowHash:
    """The sum of the hashes of all rows of the batches given to `update`."""

    def __init__(self) -> None:
        self._total = 0
        self._rows = 0
        self._types: list[pa.DataType] = []
        self._query = ""

    @property
    def rows(self) -> int:
        return self._rows

    def update(self, batch: pa.RecordBatch) -> None:
        self._rows += batch.num_rows
        if batch.num_rows == 0:
            return
        if batch.num_columns == 0:
            self._total = (self._total + batch.num_rows * _EMPTY_ROW) % _MODULUS
            return
        columns = [plain(column) for column in batch.columns]
        is_quick = is_small(columns) and knows_hashes()
        total = sum(hashes_of_rows(columns, _SALT)) if is_quick else self._sum(_named(columns))
        self._total = (self._total + total) % _MODULUS

    def hexdigest(self) -> str:
        return f"{self._total:016x}"

    def _sum(self, rows: pa.RecordBatch) -> int:
        connection = _connection()
        if rows.schema.types != self._types:
            self._types = rows.schema.types
            terms = [_hash_sql(f"rows.{field.name}", field.type) for field in rows.schema]
            self._query = f"select sum(hash({_SALT}::ubigint, {', '.join(terms)})) from rows"
        ((total,),) = connection.execute(self._query).fetchall()  # DuckDB finds `rows` among the local variables
        return int(total)


def sum_of_hashes(*digests: str) -> str:
    """The hash of all rows together, of which each digest is that of a part."""
    return f"{sum(int(digest, 16) for digest in digests) % _MODULUS:016x}"


def row_hashes(batch: pa.RecordBatch) -> pa.Array:
    """The hash of each row (uint64), for a comparison of rows with equal keys. Here -0.0 equals 0.0, and every NaN every other."""
    columns = [plain(_one_spelling(column)) for column in batch.columns]
    if not columns or not batch.num_rows:
        return pa.array([_EMPTY_ROW] * batch.num_rows, pa.uint64())
    if is_small(columns) and knows_hashes():
        return pa.array(hashes_of_rows(columns, _SALT), pa.uint64())
    return _hashes_by_query(_named(columns))


def _hashes_by_query(rows: pa.RecordBatch) -> pa.Array:
    terms = [_hash_sql(f"rows.{field.name}", field.type) for field in rows.schema]
    query = f"select hash({_SALT}::ubigint, {', '.join(terms)}) from rows"
    hashes = _connection().sql(query).to_arrow_table().column(0)
    return hashes.combine_chunks() if isinstance(hashes, pa.ChunkedArray) else hashes


def _named(columns: Sequence[pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(columns, [f"c{index}" for index in range(len(columns))])


@cache
def knows_hashes() -> bool:
    """True where the installed DuckDB gives the hashes that `few_rows_hash` computes; asked once in each process."""
    columns = [plain(pa.array([None, *values], kind)) for kind, values in _SAMPLE]
    return bool(_hashes_by_query(_named(columns)).to_pylist() == hashes_of_rows(columns, _SALT))


def _one_spelling(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type) or pa.types.is_float16(column.type):
        return column
    whole = pc.add(column, pa.scalar(0.0, column.type))
    return pc.if_else(pc.is_nan(whole), pa.scalar(float("nan"), column.type), whole)


_thread_local = threading.local()


def _connection() -> duckdb.DuckDBPyConnection:
    """One per thread: connections are not for several at once. There is nothing to optimise, and a batch of one row costs half without."""
    connection: duckdb.DuckDBPyConnection | None = getattr(_thread_local, "connection", None)
    if connection is None:
        connection = _thread_local.connection = open_scratch()
        connection.execute("pragma disable_optimizer")
    return connection


def row_hash(*batches: pa.RecordBatch) -> str:
    total = RowHash()
    for batch in batches:
        total.update(batch)
    return total.hexdigest()


def plain(column: pa.Array) -> pa.Array:
    """The same bits in a type that DuckDB takes and hashes exactly: integers, bytes, text, lists and structs of them."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain(column.storage)
    if pa.types.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(column))
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_nested(kind):
        return _plain_nested(column)
    if _is_hashed_unchanged(kind) or _is_small_decimal(kind):
        return column
    if pa.types.is_primitive(kind) and kind.bit_width in _INTEGERS:  # floats, dates, times, timestamps, durations
        return column.view(_INTEGERS[kind.bit_width])
    return column.view(pa.binary(kind.bit_width // 8))  # decimals, month-day-nano intervals


def restored(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The inverse of `plain`, for types that are not nested: the column in its own type again."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, restored(column, kind.storage_type))
    if _is_hashed_unchanged(kind) or _is_small_decimal(kind):
        return column.cast(kind)
    if pa.types.is_primitive(kind) and kind.bit_width in _INTEGERS:
        return column.cast(_INTEGERS[kind.bit_width]).view(kind)
    if pa.types.is_decimal(kind) or pa.types.is_interval(kind):
        return column.cast(pa.binary(kind.bit_width // 8)).view(kind)
    return column.cast(kind)


def _is_hashed_unchanged(kind: pa.DataType) -> bool:
    tests: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_null,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
    )
    return not pa.types.is_decimal(kind) and any(test(kind) for test in tests)


def _is_small_decimal(kind: pa.DataType) -> bool:
    """DuckDB has this type, and hashes its numbers three times as fast as their bytes. A column has one scale, so equal numbers have
    equal bits."""
    return bool(pa.types.is_decimal128(kind) and 0 <= kind.scale <= kind.precision)


def _plain_nested(column: pa.Array) -> pa.Array:
    """Rebuilds a nested column without offsets into larger buffers, so that its leaves can be viewed as integers."""
    kind = column.type
    missing = column.is_null()
    if pa.types.is_struct(kind):
        children = [plain(child) for child in column.flatten()]
        names = [f"f{index}" for index in range(len(children))]
        if not children:
            return column.is_valid()
        return pa.StructArray.from_arrays(children, names=names, mask=missing)
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return _plain_nested(column.cast(pa.large_list(kind.value_field)))
    if pa.types.is_map(kind):
        return _plain_nested(column.view(pa.list_(pa.struct([kind.key_field, kind.item_field]))))
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise TypeError(f"rows of type '{kind}' cannot be hashed")
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
    starts = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    return pa.LargeListArray.from_arrays(starts, plain(column.flatten()), mask=missing)


def _hash_sql(term: str, kind: pa.DataType, depth: int = 0) -> str:
    """Hashes nested values part by part: DuckDB's own hash is equal for NULL, `[]` and `[NULL]`, and for `[[1], [2]]` and `[[1, 2]]`."""
    if pa.types.is_struct(kind):
        fields = [_hash_sql(f"({term}).{field.name}", field.type, depth) for field in kind]
        return f"hash({term} is null, {', '.join(fields)})"
    if pa.types.is_large_list(kind):
        item = f"x{depth}"
        items = _hash_sql(item, kind.value_type, depth + 1)
        # Two constants keep a list's hash from being that of its only item.
        return (
            f"hash({term} is null, len({term}), list_transform({term}, lambda {item}: hash({_SALT}::ubigint, {items})))"
        )
    return term
