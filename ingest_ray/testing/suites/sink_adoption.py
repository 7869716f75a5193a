"""Sink suite: files that readers stage and commits adopt. A sink without the capability `FileStager` skips it."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import FileStager
from ingest_ray.sdk.errors import Fenced, SourceUnavailable
from ingest_ray.sdk.types import Prepared, Slice, WriteMode
from ingest_ray.sinks.provenance import INGESTED_AT, PROVENANCE_COLUMNS
from ingest_ray.testing.suites.sink_harness import MODES, SCHEMA, Load, SinkWorld, piece, rows
from ingest_ray.testing.suites.sink_samples import kept_samples


def load_of(world: SinkWorld, write: WriteMode = WriteMode.APPEND, **options: Any) -> Load:
    if not isinstance(world.open(), FileStager):
        pytest.skip("the sink has no such capability")
    return Load(world, write, **options)


def stage(load: Load, *batches: pa.RecordBatch, attempt: int = 1, number: int | None = None) -> Prepared:
    """Stages in a process of its own; what it returns travels as JSON. `number`: of the slice; None: the next one."""
    load.slices += 1 if number is None else 0
    sink = load.world.open()
    assert isinstance(sink, FileStager)
    of_slice = new_rows(load.slices if number is None else number)
    staged = sink.stage_files(load.target, of_slice, attempt, load.schema, iter(batches))
    return Prepared.model_validate_json(staged.model_dump_json())


def new_rows(number: int) -> Slice:
    return piece(number, is_insert_only=True)


class AdoptionTests:
    @pytest.mark.parametrize("write", MODES)
    def test_staged_files_are_shown_by_their_commit(self, world: SinkWorld, write: WriteMode) -> None:
        load = load_of(world, write)
        assert isinstance(load.sink, FileStager)
        assert load.sink.adopts(load.target, new_rows(1))
        assert load.sink.adopts(load.target, piece(1)) == (write is not WriteMode.UPSERT)
        group = [stage(load, rows((1, 1, "a")), rows((2, 1, "b"))), stage(load, rows((3, 1, "c")))]
        assert [one.rows for one in group] == [2, 1]
        assert load.found() == []
        receipt = load.commit(*group)
        assert (receipt.rows_committed, receipt.rows_deduplicated) == (3, 0)
        assert load.found() == [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]
        world.open().abort(group)  # a clean-up that comes late
        assert len(load.found()) == 3

    def test_staged_rows_have_the_same_provenance_as_prepared_ones(self, world: SinkWorld) -> None:
        load = load_of(world)
        load.commit(stage(load, rows((1, 1, "a"))))
        load.commit(load.prepare(rows((1, 1, "a"))))
        first, second = (
            {name: row[name] for name in PROVENANCE_COLUMNS if name != INGESTED_AT}
            for row in world.read_all(load.target)
        )
        assert first | {"_ingest_slice": ""} == second | {"_ingest_slice": ""}
        assert all(row[INGESTED_AT] is not None for row in world.read_all(load.target))

    def test_what_two_attempts_staged_is_not_mixed(self, world: SinkWorld) -> None:
        load = load_of(world)
        stage(load, rows((1, 1, "half")), number=1)
        second = stage(load, rows((1, 1, "a"), (2, 1, "b")), attempt=2, number=1)
        late = stage(load, rows((9, 9, "late")), number=1)
        load.commit(second)
        world.open().abort([late])
        assert load.found() == [(1, 1, "a"), (2, 1, "b")]

    @pytest.mark.parametrize("write", MODES)
    def test_a_repeated_commit_of_staged_files_changes_nothing(self, world: SinkWorld, write: WriteMode) -> None:
        load = load_of(world, write)
        group = [stage(load, rows((1, 1, "a"), (2, 1, "b")))]
        first = load.commit(*group)
        again = world.open().commit(load.target, SCHEMA, 1, 1, group)
        assert (again.rows_committed, again.rows_deduplicated) == (first.rows_committed, first.rows_deduplicated)
        assert load.found() == [(1, 1, "a"), (2, 1, "b")]

    def test_files_of_an_older_epoch_are_never_adopted(self, world: SinkWorld) -> None:
        old = load_of(world, epoch=3)
        waiting = stage(old, rows((1, 1, "zombie")))
        new = Load(world, WriteMode.APPEND, epoch=4)
        new.put((2, 1, "b"))
        with pytest.raises(Fenced):
            old.commit(waiting)
        assert new.found() == [(2, 1, "b")]

    def test_what_a_lost_run_staged_is_swept_and_what_it_committed_stays(self, world: SinkWorld) -> None:
        lost = load_of(world)
        lost.commit(stage(lost, rows((1, 1, "a"))))
        stage(lost, rows((2, 1, "never named")))
        new = Load(world, WriteMode.APPEND, epoch=2, run="run-2")
        living = stage(new, rows((3, 1, "c")), number=9)
        assert isinstance(new.sink, FileStager)
        swept = [new.sink.sweep_files(new.target, run) for run in ("run-1", "run-1", "run", "run-3")]
        assert swept[0] <= 1  # 0 where `open` did it, or where the sweep of the run's staging does
        assert not any(swept[1:])
        new.sequence = 1
        new.commit(living)
        assert new.found() == [(1, 1, "a"), (3, 1, "c")]

    def test_a_source_that_breaks_off_leaves_nothing(self, world: SinkWorld) -> None:
        load = load_of(world)

        def breaking() -> Iterator[pa.RecordBatch]:
            yield rows((1, 1, "a"))
            raise SourceUnavailable("gone")

        assert isinstance(load.sink, FileStager)
        with pytest.raises(SourceUnavailable, match="gone"):
            load.sink.stage_files(load.target, new_rows(1), 1, SCHEMA, breaking())
        load.commit(stage(load, rows((1, 1, "a")), attempt=2, number=1))
        assert load.found() == [(1, 1, "a")]

    def test_a_slice_without_rows_stages_no_file(self, world: SinkWorld) -> None:
        load = load_of(world)
        empty = stage(load)
        assert (empty.rows, empty.bytes) == (0, 0)
        load.commit(empty, stage(load, rows((1, 1, "a"))))
        assert load.found() == [(1, 1, "a")]

    def test_staged_values_are_those_that_are_prepared(self, world: SinkWorld) -> None:
        batch = kept_samples(world).batch
        schema = batch.schema
        load = load_of(world, schema=schema, version=None)
        load.commit(stage(load, batch))
        staged = [_source_values(row, schema) for row in world.read_all(load.target)]
        other = Load(world, WriteMode.APPEND, schema=schema, version=None, unit="public.prepared")
        other.commit(other.prepare(batch))
        assert sorted(staged) == sorted(_source_values(row, schema) for row in world.read_all(other.target))


def _source_values(row: dict[str, Any], schema: pa.Schema) -> str:
    return repr([row[name] for name in schema.names])
