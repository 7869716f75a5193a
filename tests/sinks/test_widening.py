"""Every type of a source that may become a wider one, in every sink: the rows from before stay what they were, and wider ones arrive."""

from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.widening import is_wider
from ingest_ray.testing.suites.sink_harness import Load
from tests.sinks.test_sqlite import SqliteWorld
from tests.sinks.test_value_limits import WORLDS

pytestmark = pytest.mark.slow


def _digits(precision: int, scale: int) -> tuple[Decimal, Decimal]:
    most = Decimal((0, (9,) * precision, -scale))
    return most.copy_negate(), most


def _integers(kind: pa.DataType) -> tuple[int, int]:
    bits = kind.bit_width
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pa.types.is_signed_integer(kind) else (0, 2**bits - 1)


INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
DECIMALS = [(5, 0), (10, 2), (20, 0), (20, 4), (38, 10), (45, 4), (70, 12)]
BOUNDS: dict[pa.DataType, tuple[Any, Any]] = {
    **{kind: _integers(kind) for kind in INTEGERS},
    **{(pa.decimal128 if p <= 38 else pa.decimal256)(p, s): _digits(p, s) for p, s in DECIMALS},
    pa.float16(): (-65504.0, 65504.0),
    pa.float32(): (-(2.0**127), 2.0**127),
    pa.float64(): (-1e300, 1e300),
}
PAIRS = [(narrow, wide) for narrow, wide in product(BOUNDS, BOUNDS) if is_wider(wide, narrow)]


def test_the_pairs_are_those_of_which_one_holds_the_other() -> None:
    def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
        if wide == narrow or pa.types.is_floating(wide) != pa.types.is_floating(narrow):
            return False
        scales = [kind.scale if pa.types.is_decimal(kind) else 0 for kind in (wide, narrow)]
        if pa.types.is_integer(wide) and pa.types.is_decimal(narrow):
            return False  # a number without a scale would look otherwise
        (least, most), (low, high) = BOUNDS[wide], BOUNDS[narrow]
        return bool(scales[0] >= scales[1] and least <= low and high <= most)

    assert set(PAIRS) == {(narrow, wide) for narrow, wide in product(BOUNDS, BOUNDS) if holds(wide, narrow)}


@pytest.mark.parametrize("sink", list(WORLDS))
def test_a_column_follows_its_source_to_every_wider_type(request: pytest.FixtureRequest, sink: str) -> None:
    names = [f"c{number}" for number in range(len(PAIRS))]
    narrow = pa.schema([("id", pa.int64()), *((name, pair[0]) for name, pair in zip(names, PAIRS, strict=True))])
    wide = pa.schema([("id", pa.int64()), *((name, pair[1]) for name, pair in zip(names, PAIRS, strict=True))])
    load = Load(WORLDS[sink](request), WriteMode.UPSERT, schema=narrow, version=None)
    load.commit(load.prepare(_bounds(narrow, 0), first=True))
    load.schema = wide
    load.reopen()
    load.commit(load.prepare(_bounds(wide, 2)))
    load.commit(load.prepare(_bounds(wide, 2)))
    load.reopen()
    found = {row["id"]: row for row in load.world.read_all(load.target)}
    assert sorted(found) == [0, 1, 2, 3]
    for name, pair in zip(names, PAIRS, strict=True):
        expected = [*BOUNDS[pair[0]], *BOUNDS[pair[1]]]
        stored = [found[row][name] for row in range(4)]
        assert [_number(value) for value in stored] == list(map(_number, expected)), (pair, stored)


def _bounds(schema: pa.Schema, first: int) -> pa.RecordBatch:
    columns = [pa.array([first, first + 1], pa.int64())]
    for field in list(schema)[1:]:
        values = pa.array(BOUNDS[field.type], pa.float64()) if pa.types.is_float16(field.type) else BOUNDS[field.type]
        columns.append(pa.array(values, field.type) if isinstance(values, tuple) else values.cast(pa.float16()))
    return pa.record_batch(columns, schema=schema)


def _number(value: Any) -> Any:
    """A reader may print fewer digits of a float."""
    return f"{value:.6e}" if isinstance(value, float) else Decimal(str(value))


def test_a_key_that_would_be_spelled_in_two_ways_is_refused(tmp_path: Path) -> None:
    """SQLite keeps decimals as text: 7 would be another key than 7.00."""
    schema = pa.schema([("id", pa.int32()), ("text", pa.string())])
    load = Load(SqliteWorld(tmp_path / "x.db"), WriteMode.UPSERT, schema=schema, version=None)
    load.commit(load.prepare(pa.record_batch([[7], ["a"]], schema=schema)))
    load.schema = schema.set(0, pa.field("id", pa.decimal128(20, 2)))
    with pytest.raises(SinkRejected, match="'id'"):
        load.reopen()
    load.schema = schema.set(0, pa.field("id", pa.decimal128(20, 0)))
    load.reopen()
    load.commit(load.prepare(pa.record_batch([[Decimal(7)], ["b"]], schema=load.schema)))
    (row,) = load.world.read_all(load.target)
    assert (row["id"], row["text"]) == ("7", "b")
