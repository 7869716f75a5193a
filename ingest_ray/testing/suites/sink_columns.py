"""Sink suite, columns and types: added, widened, refused, and every value as the certificate says.

Columns change between runs, so each change comes with the first opening under a newer epoch.
"""

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import MisfitFinder
from ingest_ray.sdk.errors import RowsRejected, SinkRejected
from ingest_ray.sdk.types import Fidelity, WriteMode
from ingest_ray.testing.suites.sink_harness import MODES, SCHEMA, Load, SinkWorld, keyed_mode
from ingest_ray.testing.suites.sink_reads import assert_read_back
from ingest_ray.testing.suites.sink_samples import kept_samples, refused_samples
from ingest_ray.testing.suites.sink_values import SAMPLES, is_same


class ColumnTests:
    @pytest.mark.parametrize("write", MODES)
    def test_new_columns_are_added_and_missing_ones_stay(self, world: SinkWorld, write: WriteMode) -> None:
        load = Load(world, write)
        load.put((1, 1, "a"))
        load.schema = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("More Text", pa.string())])
        load.reopen()
        batch = pa.record_batch([[2], [1], ["new"]], schema=load.schema)
        load.commit(load.prepare(batch))
        found = {row["id"]: (row["text"], row["More Text"]) for row in world.read_all(load.target)}
        assert found == ({2: (None, "new")} if write is WriteMode.REPLACE else {1: ("a", None), 2: (None, "new")})

    def test_columns_may_change_their_order(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 1, "a"))
        load.schema = pa.schema([SCHEMA.field("text"), SCHEMA.field("id"), SCHEMA.field("version")])
        load.reopen()
        load.commit(load.prepare(pa.record_batch([["b"], [1], [2]], schema=load.schema)))
        assert load.found() == [(1, 2, "b")]

    @pytest.mark.parametrize("write", [WriteMode.APPEND, WriteMode.UPSERT])
    def test_a_wider_type_widens_the_column_and_keeps_its_rows(self, world: SinkWorld, write: WriteMode) -> None:
        narrow = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("n", pa.int16())])
        load = Load(world, write, schema=narrow)
        load.commit(load.prepare(pa.record_batch([[1], [1], [7]], schema=narrow)))
        load.schema = narrow.set(2, pa.field("n", pa.int64()))
        load.reopen()
        load.commit(load.prepare(pa.record_batch([[2], [1], [2**40]], schema=load.schema)))
        load.schema = narrow
        load.reopen()
        load.commit(load.prepare(pa.record_batch([[3], [1], [8]], schema=narrow)))
        assert {row["id"]: row["n"] for row in world.read_all(load.target)} == {1: 7, 2: 2**40, 3: 8}

    @pytest.mark.parametrize("write", [WriteMode.APPEND, WriteMode.UPSERT, WriteMode.HISTORY])
    def test_a_column_becomes_wider_after_others_were_added_and_left_out(
        self, world: SinkWorld, write: WriteMode
    ) -> None:
        """Added columns come after those of provenance: values that are moved by place would change columns, texts without a word."""
        key = [("id", pa.int64()), ("version", pa.int64())]
        load = Load(world, write, schema=pa.schema([*key, ("n", pa.int16()), ("left_out", pa.string())]))
        load.commit(load.prepare(pa.record_batch([[1], [1], [7], ["L"]], schema=load.schema)))
        load.schema, load.run = pa.schema([*key, ("n", pa.int16()), ("a", pa.string()), ("b", pa.string())]), "run-2"
        load.reopen()
        load.commit(load.prepare(pa.record_batch([[2], [1], [8], ["A"], ["B"]], schema=load.schema)))
        load.schema, load.run = pa.schema([*key, ("b", pa.string()), ("n", pa.int64())]), "run-3"
        load.reopen()
        load.commit(load.prepare(pa.record_batch([[3], [1], ["b"], [2**40]], schema=load.schema)))
        names = ("n", "left_out", "a", "b", "_ingest_run_id")
        assert {row["id"]: tuple(row[name] for name in names) for row in world.read_all(load.target)} == {
            1: (7, "L", None, None, "run-1"),
            2: (8, None, "A", "B", "run-2"),
            3: (2**40, None, None, "b", "run-3"),
        }

    def test_a_type_that_does_not_hold_the_other_is_refused_by_name(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND)
        load.put((1, 1, "a"))
        with pytest.raises(SinkRejected, match="'text'"):
            load.sink.open(load.target, SCHEMA.set(2, pa.field("text", pa.bool_())), 1)
        assert load.found() == [(1, 1, "a")]

    def test_odd_column_names_survive(self, world: SinkWorld) -> None:
        names = ["select", "Order Total", "naïve", "a.b", "x-y", "quo'te", 'dou"ble', "%s", "semi;colon", "back\\slash"]
        schema = pa.schema([("id", pa.int64()), ("version", pa.int64()), *((name, pa.string()) for name in names)])
        load = Load(world, keyed_mode(world), schema=schema, key=("id", "Order Total"))
        for version in (1, 2):
            batch = pa.record_batch(
                [[1], [version], *([name if name != "x-y" else str(version)] for name in names)], schema=schema
            )
            load.commit(load.prepare(batch))
        (row,) = world.read_all(load.target)
        assert {name: row[name] for name in names} == {name: name if name != "x-y" else "2" for name in names}

    def test_c65_values_arrive_as_the_certificate_says(self, world: SinkWorld) -> None:
        table = kept_samples(world)
        load = Load(world, keyed_mode(world), schema=table.schema, version=None)
        fits = {fit.column: fit for fit in load.sink.fit(table.schema)}
        load.commit(load.prepare(table.batch, first=True))
        load.commit(load.prepare(table.batch))
        found = {row["id"]: row for row in world.read_all(load.target)}
        assert len(found) == table.batch.num_rows
        for name, sample in table.samples.items():
            for index, value in enumerate(sample.values):
                stored = found[index][name]
                assert is_same(stored, value, sample, fits[name].fidelity), (str(sample), stored, value, fits[name])
        assert_read_back(load, table)

    def test_c65_a_value_that_the_certificate_excludes_is_refused_and_found(self, world: SinkWorld) -> None:
        for number, sample in enumerate(one for one in SAMPLES if str(one) in refused_samples(world)):
            schema = pa.schema([("id", pa.int64()), ("value", sample.kind)])
            load = Load(world, keyed_mode(world), unit=f"refused_{number}", schema=schema, version=None)
            (_, fit) = load.sink.fit(schema)
            assert fit.note is not None, str(sample)
            assert "quarantine" in fit.note, str(sample)
            column = sample.array()
            batch = pa.record_batch([pa.array(range(len(column)), pa.int64()), column], schema=schema)
            with pytest.raises(RowsRejected):
                load.prepare(batch)
            assert isinstance(load.sink, MisfitFinder)
            misfits = load.sink.find_misfits(schema, batch).values()
            assert {misfit.column for misfit in misfits} == {"value"}, str(sample)

    def test_a_type_that_no_sink_keeps_is_refused_before_the_first_row(self, world: SinkWorld) -> None:
        schema = pa.schema([("id", pa.int64()), ("u", pa.dense_union([pa.field("a", pa.int8())]))])
        sink = world.open()
        assert sink.fit(schema)[1].fidelity is Fidelity.REFUSED
        with pytest.raises(SinkRejected, match="'u'"):
            Load(world, WriteMode.APPEND, schema=schema)
