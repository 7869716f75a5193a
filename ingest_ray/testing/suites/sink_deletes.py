"""Sink suite: keys and deletes."""

from typing import Literal

import pyarrow as pa
import pytest

from ingest_ray.sdk.errors import Fenced
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, SinkWorld, keys
from ingest_ray.testing.suites.sink_values import SAMPLES, Sample


class DeleteTests:
    def test_the_keys_of_living_rows_are_listed_in_the_source_types(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT, key=("text", "id"))
        assert list(load.sink.keys(load.target, SCHEMA)) == []
        load.put((1, 1, "a"), (2, 1, "b"), (None, 1, "c"))
        load.erase([("b", 2)], "tombstone")
        batches = list(load.sink.keys(load.target, SCHEMA))
        assert {tuple(batch.schema) for batch in batches} == {(SCHEMA.field("text"), SCHEMA.field("id"))}
        assert sorted((row["text"], row["id"]) for batch in batches for row in batch.to_pylist()) == [
            ("a", 1),
            ("c", None),
        ]

    @pytest.mark.parametrize(
        "sample",
        [
            one
            for one in SAMPLES
            if str(one) in ("decimal128(38, 9)", "date32[day]", "timestamp[us, tz=UTC]", "uint64", "string")
        ],
        ids=str,
    )
    def test_keys_of_any_type_are_listed_and_erased(self, world: SinkWorld, sample: Sample) -> None:
        schema = pa.schema([("id", sample.kind), ("version", pa.int64())])
        load = Load(world, WriteMode.UPSERT, schema=schema)
        column = pa.array(
            [value for value in dict.fromkeys(sample.values) if value is None or len(str(value)) < 1_000], sample.kind
        )
        batch = pa.record_batch([column, pa.array([1] * len(column), pa.int64())], schema=schema)
        load.commit(load.prepare(batch))
        listed = pa.concat_arrays([batch.column(0) for batch in load.sink.keys(load.target, schema)])
        assert sorted(listed.to_pylist(), key=repr) == sorted(column.to_pylist(), key=repr)
        load.sequence += 1
        receipt = load.sink.erase(load.target, schema, 1, load.sequence, [batch.select(["id"])], "delete")
        assert receipt.rows_committed == len(column)
        assert world.read_all(load.target) == []

    def test_a_tombstone_keeps_the_row_and_goes_when_the_row_comes_back(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 1, "a"), (2, 1, "b"), (None, 1, "c"))
        assert load.erase([(1,), (7,), (None,)], "tombstone") == 2
        assert load.erase([(1,), (2,)], "tombstone") == 1
        marked = {row["id"]: row[DELETED_AT] is not None for row in world.read_all(load.target)}
        assert marked == {1: True, 2: True, None: True}
        load.put((2, 1, "again"))
        marked = {row["id"]: row[DELETED_AT] is not None for row in world.read_all(load.target)}
        assert marked == {1: True, 2: False, None: True}

    def test_a_delete_takes_the_rows_out(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT, key=("id", "text"))
        load.put((1, 1, "a"), (1, 1, "b"), (2, 1, None), (3, 1, None))
        assert load.erase([(1, "b"), (3, None), (4, "x")], "delete") == 2
        assert load.found() == [(1, 1, "a"), (2, 1, None)]

    @pytest.mark.parametrize("how", ["tombstone", "delete"])
    def test_erasing_what_is_not_there_has_its_number(
        self, world: SinkWorld, how: Literal["tombstone", "delete"]
    ) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 1, "a"))
        assert load.erase([(7,)], how) == 0
        assert world.open().open(load.target, SCHEMA, 1) == 2
        load.sequence = 1
        assert load.erase([(7,)], how) == 0
        assert load.found() == [(1, 1, "a")]

    def test_erasing_is_numbered_and_fenced_like_a_commit(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 1, "a"), (2, 1, "b"))
        load.erase([(1,)], "delete")
        again = load.sink.erase(load.target, SCHEMA, 1, 2, [keys((2,))], "delete")
        assert (again.rows_committed, load.found()) == (1, [(2, 1, "b")])
        assert load.sink.open(load.target, SCHEMA, 2) == 2
        with pytest.raises(Fenced):
            load.sink.erase(load.target, SCHEMA, 1, 3, [keys((2,))], "delete")
        assert load.found() == [(2, 1, "b")]
