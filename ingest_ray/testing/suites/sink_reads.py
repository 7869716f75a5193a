"""Sink suite: rows and sums that a comparison with the source reads back, where the sink has these capabilities."""

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import KeySumReader, RowReader
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.row_hash import row_hashes
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.canonical_json import comparable
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, SinkWorld
from ingest_ray.testing.suites.sink_samples import SampleTable


def assert_read_back(load: Load, table: SampleTable) -> None:
    """Values that are read back have the hash of the values that were written, where the sink can be compared with a source."""
    reader, schema = load.sink, load.schema
    if not isinstance(reader, RowReader):
        return
    types = reader.comparable_schema(load.target, schema)
    compared = [name for name in table.samples if name in types.names]
    for name in table.samples.keys() - set(compared):
        kind = table.samples[name].kind
        assert pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType), kind
    found = pa.Table.from_batches(list(reader.read_rows(load.target, schema, ["id"], compared))).sort_by("id")
    assert found["id"].to_pylist() == list(range(table.batch.num_rows))
    for name in compared:
        written = comparable(table.batch[name], types.field(name))
        hashes = row_hashes(_one_column(found[name])).to_pylist()
        assert row_hashes(_one_column(written)).to_pylist() == hashes, table.samples[name].kind


class ReadTests:
    def test_rows_are_read_back_by_bounds_and_without_tombstones(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        reader = load.sink
        if not isinstance(reader, RowReader):
            pytest.skip("the sink cannot be compared with a source")
        load.put(*((number, 1, "a") for number in range(-3, 7)))
        load.erase([(2,)], "tombstone")

        def ids(lower: int | None, upper: int | None) -> list[int]:
            assert isinstance(reader, RowReader)
            batches = reader.read_rows(load.target, SCHEMA, ["id"], [], (lower, upper))
            return sorted(number for batch in batches for number in batch.column(0).to_pylist())

        assert ids(0, 4) == [0, 1, 3]
        assert ids(None, 0) == [-3, -2, -1]
        assert ids(4, None) == [4, 5, 6]

    def test_sums_of_keys_are_those_of_the_blocks(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        reader = load.sink
        if not isinstance(reader, KeySumReader):
            pytest.skip("the sink cannot sum up keys")
        keys = [-7, -1, 0, 3, 2**31, 2**40, 2**62]
        load.put(*((number, 1, "a") for number in keys))
        load.erase([(3,)], "tombstone")
        sums, outside = reader.sum_keys(load.target, SCHEMA, "id", KeyRange(-7, 2**41, 4))
        assert outside == 1
        assert sums[0] == KeySum(1, -7, 7 * 7)
        assert sums[1] == KeySum(2, -1, 1)
        assert sums[(2**40 + 7) // 4].rows == 1
        assert sum(found.rows for found in sums.values()) == 5


def _one_column(column: pa.Array | pa.ChunkedArray) -> pa.RecordBatch:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.RecordBatch.from_arrays([whole], names=["value"])
