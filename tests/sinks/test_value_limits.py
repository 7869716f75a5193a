"""Values at and beyond the limits of each sink: what it does not name as a misfit, it takes, commits and merges."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import MisfitFinder
from ingest_ray.sdk.types import WriteMode
from ingest_ray.testing.suites.sink_harness import Load
from tests.sinks.iceberg.world import IcebergWorld
from tests.sinks.test_delta import DeltaWorld
from tests.sinks.test_duckdb import DuckDbWorld
from tests.sinks.test_mariadb import MariaWorld
from tests.sinks.test_postgres import PostgresWorld
from tests.sinks.test_sqlite import SqliteWorld

pytestmark = pytest.mark.slow

DAY_US = 86_400_000_000
DATE, LOCAL, INSTANT = pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC")
YEAR_10000, YEAR_9999, YEAR_1, YEAR_0, YEAR_6000_BC = 2_932_897, 2_932_896, -719_162, -719_163, -2_911_000


def text_of(content: bytes, kind: pa.DataType | None = None) -> pa.Array:
    offsets = pa.py_buffer(b"\0\0\0\0" + len(content).to_bytes(4, "little"))
    return pa.Array.from_buffers(kind or pa.string(), 1, [None, offsets, pa.py_buffer(content)])


def too_many_digits() -> pa.Array:
    stored = pa.array([Decimal("1234567.89")], pa.decimal128(38, 2))
    return pa.Array.from_buffers(pa.decimal128(5, 2), 1, [None, stored.buffers()[1]])


# The value, and the sinks that have to name it: `s`qlite, `d`uckdb, `p`ostgres, `m`ariadb, de`l`ta.
CASES: dict[str, tuple[pa.Array, str]] = {
    "zero character": (pa.array(["a\0b"]), "p"),
    "zero character in json": (pa.array(['"a\0"'], pa.json_()), "p"),
    "zero character in a list": (pa.array([["a\0"]]), "p"),
    "zero character in a struct": (pa.array([{"a": "\0"}]), ""),
    "no utf-8": (text_of(b"a\xff\xfe"), "sdpmli"),
    "a surrogate": (text_of(b"\xed\xa0\x80"), "sdpmli"),
    "no utf-8 in a list": (pa.ListArray.from_arrays([0, 1], text_of(b"\xff")), "sdpmli"),
    "escaped zero character": (pa.array(['{"a": "\\u0000"}'], pa.json_()), ""),
    "escaped surrogate": (pa.array(['{"a": "\\ud800"}'], pa.json_()), ""),
    "nan": (pa.array([float("nan")]), "sm"),
    "nan of 32 bits": (pa.array([float("nan")], pa.float32()), "sm"),
    "nan of 16 bits": (pa.array([float("nan")]).cast(pa.float16()), "sm"),
    "infinity": (pa.array([float("inf")]), "m"),
    "minus infinity": (pa.array([float("-inf")]), "m"),
    "nan in a list": (pa.array([[float("nan")]]), ""),
    "year 9999": (pa.array([YEAR_9999], DATE), ""),
    "year 1": (pa.array([YEAR_1], DATE), ""),
    "year 10000": (pa.array([YEAR_10000], DATE), "m"),
    "year 0": (pa.array([YEAR_0], DATE), "m"),
    "year -6000": (pa.array([YEAR_6000_BC], DATE), "pm"),
    "the last day of 32 bits": (pa.array([2**31 - 1], DATE), "sdpm"),
    "the first day of 32 bits": (pa.array([-(2**31)], DATE), "sdpm"),
    "a timestamp of year 9999": (pa.array([YEAR_10000 * DAY_US - 1], LOCAL), ""),
    "a timestamp of year 10000": (pa.array([YEAR_10000 * DAY_US], LOCAL), "m"),
    "an instant of year 10000": (pa.array([YEAR_10000 * DAY_US], INSTANT), "m"),
    "a timestamp of year 0": (pa.array([YEAR_0 * DAY_US], LOCAL), "m"),
    "a timestamp of year -6000": (pa.array([YEAR_6000_BC * DAY_US], LOCAL), "pm"),
    "the last microsecond": (pa.array([2**63 - 1], LOCAL), "sdpmli"),
    "the first microsecond": (pa.array([-(2**63)], LOCAL), "sdpmli"),
    "seconds beyond microseconds": (pa.array([2**60], pa.timestamp("s")), "sdpmli"),
    "year 10000 in a list": (pa.array([[YEAR_10000]], pa.list_(DATE)), "sm"),
    "year 10000 in a struct": (pa.array([{"d": YEAR_10000}], pa.struct([("d", DATE)])), "spm"),
    "24:00:00": (pa.array([DAY_US], pa.int64()).view(pa.time64("us")), "i"),
    "25:00:00": (pa.array([DAY_US + 1], pa.int64()).view(pa.time64("us")), "sdpmli"),
    "more digits than declared": (too_many_digits(), "sdpmli"),
    "a large duration": (pa.array([2**63 - 1], pa.duration("us")), ""),
    "a large unsigned integer": (pa.array([2**64 - 1], pa.uint64()), ""),
}
WORLDS: dict[str, Callable[[pytest.FixtureRequest], Any]] = {
    "s": lambda request: SqliteWorld(request.getfixturevalue("tmp_path") / "x.db"),
    "d": lambda request: DuckDbWorld(request.getfixturevalue("tmp_path") / "x.duckdb"),
    "p": lambda request: PostgresWorld(request.getfixturevalue("pg")),
    "m": lambda request: MariaWorld(request.getfixturevalue("mariadb")),
    "i": lambda request: IcebergWorld(request.getfixturevalue("tmp_path") / "iceberg"),
    "l": lambda request: DeltaWorld(str(request.getfixturevalue("tmp_path") / "lake")),
}


@pytest.mark.parametrize("sink", list(WORLDS))
def test_a_sink_names_the_values_that_it_cannot_hold_and_takes_all_others(
    request: pytest.FixtureRequest, sink: str
) -> None:
    columns = {name.replace(" ", "_"): (name, *case) for name, case in CASES.items()}
    schema = pa.schema([("id", pa.int64()), *((name, value.type) for name, (_, value, _) in columns.items())])
    load = Load(WORLDS[sink](request), WriteMode.UPSERT, schema=schema, version=None)
    batches = []
    for row, (column, (_, value, _)) in enumerate(columns.items()):
        values = [value if name == column else pa.nulls(1, schema.field(name).type) for name in columns]
        batches.append(pa.record_batch([pa.array([row]), *values], schema=schema))
    assert isinstance(load.sink, MisfitFinder)
    found = [load.sink.find_misfits(schema, batch, converts=True) for batch in batches]
    named = {misfit.column for misfits in found for misfit in misfits.values()}
    assert named == {column for column, (_, _, sinks) in columns.items() if sink in sinks}
    quick = [load.sink.find_misfits(schema, batch) for batch in batches]
    assert {misfit.column for misfits in quick for misfit in misfits.values()} == named
    fitting = [batch for batch, misfits in zip(batches, found, strict=True) if not misfits]
    load.commit(load.prepare(*fitting, first=True))
    load.commit(load.prepare(*fitting))
    if sink in "sm":  # the other drivers of Python have no such years
        (stored,) = [row["24:00:00"] for row in load.world.read_all(load.target) if row["24:00:00"] is not None]
        assert str(stored)[:8] in ("24:00:00", "00:00:00")
