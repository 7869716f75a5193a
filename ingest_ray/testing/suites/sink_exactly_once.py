"""Sink suite: exactly-once commits under repeated numbers, older epochs, races and crashes."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingest_ray.sdk.contracts import ProgressReader, SinkProgress
from ingest_ray.sdk.errors import Fenced, SinkUnavailable
from ingest_ray.sdk.row_hash import row_hash
from ingest_ray.sdk.types import Prepared, Receipt, WriteMode
from ingest_ray.testing.suites.sink_harness import MODES, SCHEMA, Load, SinkWorld, insist, modes_of, piece, rows


class OnceTests:
    @pytest.mark.parametrize("write", MODES)
    def test_c40_a_commit_with_the_same_number_changes_nothing(self, world: SinkWorld, write: WriteMode) -> None:
        load = Load(world, write)
        group = [load.prepare(rows((1, 1, "a"), (2, 1, "b")))]
        first = load.commit(*group)
        again = world.open().commit(load.target, SCHEMA, 1, 1, group)
        assert (again.rows_committed, again.rows_deduplicated) == (first.rows_committed, first.rows_deduplicated)
        assert load.found() == [(1, 1, "a"), (2, 1, "b")]
        assert world.open().open(load.target, SCHEMA, 1) == 1

    def test_the_progress_is_read_without_a_change(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND, epoch=3)
        sink = world.open()
        if not isinstance(sink, ProgressReader):
            pytest.skip("the sink has no such capability")
        assert sink.read_progress(load.target) == SinkProgress(3, 0)
        load.put((1, 1, "a"))
        load.put((2, 1, "b"))
        assert sink.read_progress(load.target) == SinkProgress(3, 2)
        other = load.target.model_copy(update={"unit_id": "public.others", "app_id": "shop/public.others/sink"})
        assert sink.read_progress(other) == SinkProgress(exists=False)
        assert sink.read_progress(other) == SinkProgress(exists=False)

    def test_a_commit_whose_rows_are_all_older_has_its_number(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 5, "newer"), (2, 5, "newer"))
        older = load.prepare(rows((1, 4, "older")))
        first = load.commit(older)
        assert world.open().open(load.target, SCHEMA, 1) == 2
        again = world.open().commit(load.target, SCHEMA, 1, 2, [older])
        assert (again.rows_committed, again.rows_deduplicated) == (first.rows_committed, first.rows_deduplicated)
        assert load.found() == [(1, 5, "newer"), (2, 5, "newer")]

    def test_a_lower_number_is_not_applied(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND)
        load.put((1, 1, "a"))
        load.put((2, 1, "b"))
        late = load.prepare(rows((9, 9, "late")))
        world.open().commit(load.target, SCHEMA, 1, 1, [late])
        assert load.found() == [(1, 1, "a"), (2, 1, "b")]
        assert load.sink.open(load.target, SCHEMA, 1) == 2

    @pytest.mark.parametrize("write", MODES)
    def test_an_older_epoch_can_neither_open_nor_commit(self, world: SinkWorld, write: WriteMode) -> None:
        old = Load(world, write, epoch=3)
        old.put((1, 1, "a"))
        waiting = old.prepare(rows((2, 1, "zombie")))
        new = Load(world, write, epoch=4)
        assert new.sink.open(new.target, SCHEMA, 4) == 1
        with pytest.raises(Fenced):
            old.commit(waiting)
        with pytest.raises(Fenced):
            old.sink.open(old.target, SCHEMA, 3)
        assert new.found() == [(1, 1, "a")]
        new.sequence = 1
        new.put((3, 1, "c"))
        assert (3, 1, "c") in new.found()

    def test_a_zombie_of_an_older_epoch_cannot_repeat_a_commit(self, world: SinkWorld) -> None:
        old = Load(world, WriteMode.APPEND, epoch=1)
        group = [old.prepare(rows((1, 1, "a")))]
        new = Load(world, WriteMode.APPEND, epoch=2)
        with pytest.raises(Fenced):
            old.commit(*group)
        assert new.found() == []

    def test_c33_two_commits_of_one_number_at_once_count_once(self, world: SinkWorld) -> None:
        for attempt in range(3):
            load = Load(world, WriteMode.APPEND, unit=f"public.race{attempt}")
            groups = [[load.prepare(rows((n, 1, "x")))] for n in (1, 2)]
            together = threading.Barrier(2)

            def commit(group: Sequence[Prepared], together: threading.Barrier = together, load: Load = load) -> Receipt:
                sink = world.open()
                together.wait()
                return insist(lambda: sink.commit(load.target, SCHEMA, 1, 1, group))

            with ThreadPoolExecutor(2) as pool:
                receipts = list(pool.map(commit, groups))
            assert [receipt.sequence for receipt in receipts] == [1, 1]
            assert len(load.found()) == 1

    def test_c33_of_two_epochs_at_once_the_newer_one_stays(self, world: SinkWorld) -> None:
        for attempt in range(3):
            load = Load(world, WriteMode.UPSERT, unit=f"public.race{attempt}")
            load.put((1, 1, "a"))
            zombie = [load.prepare(rows((1, 2, "zombie")))]
            together = threading.Barrier(2)

            def commit(load: Load = load, group: Any = zombie, together: threading.Barrier = together) -> str:
                sink = world.open()
                together.wait()
                try:
                    insist(lambda: sink.commit(load.target, SCHEMA, 1, 2, group))
                except Fenced:
                    return "fenced"
                return "committed"

            def take_over(load: Load = load, together: threading.Barrier = together) -> int:
                sink = world.open()
                together.wait()
                for _ in range(20):
                    try:
                        return sink.open(load.target, SCHEMA, 2)
                    except SinkUnavailable:
                        time.sleep(0.02)
                raise AssertionError("the sink could not be opened")

            with ThreadPoolExecutor(2) as pool:
                zombie_end, sequence = pool.submit(commit), pool.submit(take_over)
                outcome, last = zombie_end.result(), sequence.result()
            text = load.found()[0][2]
            assert (outcome, last, text) in {("fenced", 1, "a"), ("committed", 2, "zombie")}

    def test_a_crash_between_prepare_and_commit_leaves_the_target_as_it_was(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 1, "a"))
        load.prepare(rows((1, 2, "lost"), (2, 1, "lost")))
        next_run = Load(world, WriteMode.UPSERT, epoch=2, sequence=1)
        assert next_run.found() == [(1, 1, "a")]
        next_run.put((2, 1, "b"))
        assert next_run.found() == [(1, 1, "a"), (2, 1, "b")]

    @pytest.mark.parametrize("write", MODES)
    def test_preparing_twice_harms_nothing(self, world: SinkWorld, write: WriteMode) -> None:
        load = Load(world, write)
        batch = rows((1, 1, "a"), (2, 1, "b"))
        one = load.sink.prepare(load.target, piece(1), SCHEMA, iter([batch]))
        two = load.sink.prepare(load.target, piece(1), SCHEMA, iter([batch]))
        assert one.row_hash == two.row_hash
        load.commit(two)
        load.sink.abort([one])
        assert load.found() == [(1, 1, "a"), (2, 1, "b")]

    def test_what_was_aborted_is_gone_and_what_was_committed_stays(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND)
        kept, dropped = load.prepare(rows((1, 1, "a"))), load.prepare(rows((2, 1, "b")))
        load.commit(kept)
        load.sink.abort([dropped, kept])
        load.sink.abort([dropped, kept])
        assert load.found() == [(1, 1, "a")]

    def test_batches_that_fail_half_way_prepare_nothing(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND)

        def broken() -> Any:
            yield rows((1, 1, "a"))
            raise SinkUnavailable("staging went away")

        with pytest.raises(SinkUnavailable, match="went away"):
            load.sink.prepare(load.target, piece(1), SCHEMA, broken())
        load.put((2, 1, "b"))
        assert load.found() == [(2, 1, "b")]

    def test_empty_slices_and_empty_groups_are_commits(self, world: SinkWorld) -> None:
        for write in {WriteMode.APPEND, WriteMode.UPSERT} & {*modes_of(world)}:
            load = Load(world, write, unit=f"public.{write}")
            load.put((1, 1, "a"))
            load.commit()
            empty = load.prepare()
            assert empty.rows == 0
            assert empty.row_hash in ("", row_hash())
            load.commit(empty, load.prepare(rows()))
            assert load.found() == [(1, 1, "a")]
            assert load.sink.open(load.target, SCHEMA, 1) == 3
