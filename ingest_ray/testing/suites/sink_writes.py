"""Sink suite: append, upsert, replace, and the provenance of every row."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.row_hash import row_hash
from ingest_ray.sdk.types import Prepared, WriteMode
from ingest_ray.sinks.provenance import INGESTED_AT, PROVENANCE_COLUMNS, RUN_ID, SLICE
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, Row, SinkWorld, keyed_mode, modes_of, piece, rows


class WriteTests:
    def test_a_new_target_is_empty_and_at_sequence_zero(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND)
        assert load.sink.open(load.target, SCHEMA, 1) == 0
        assert load.sink.is_empty(load.target)
        assert world.read_all(load.target) == []

    def test_a_target_that_nobody_opened_is_empty(self, world: SinkWorld) -> None:
        target = Load(world, WriteMode.APPEND).target.model_copy(update={"unit_id": "never"})
        assert world.open().is_empty(target)

    @pytest.mark.parametrize("unit", ["public.orders", "a b", "Ünïcode/слэш", "quo'te\"s", "..", "x" * 90, "select"])
    def test_units_of_any_name_have_their_own_table(self, world: SinkWorld, unit: str) -> None:
        odd, plain = Load(world, WriteMode.APPEND, unit=unit), Load(world, WriteMode.APPEND, unit="plain")
        odd.put((1, 1, "a"))
        plain.put((2, 1, "b"))
        assert (odd.found(), plain.found()) == ([(1, 1, "a")], [(2, 1, "b")])
        assert odd.sink.location(odd.target) != plain.sink.location(plain.target)

    def test_append_keeps_every_row(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND, key=(), version=None)
        load.put((1, 1, "a"), (1, 1, "a"))
        load.put((1, 1, "a"), (None, None, None))
        assert load.found() == [(1, 1, "a")] * 3 + [(None, None, None)]
        assert not load.sink.is_empty(load.target)

    def test_nothing_is_seen_before_its_commit(self, world: SinkWorld) -> None:
        for write in modes_of(world):
            load = Load(world, write, unit=f"public.{write}")
            load.prepare(rows((1, 1, "a")))
            assert load.found() == []
            assert load.sink.is_empty(load.target)

    def test_the_rows_are_counted_and_their_hash_where_there_is_one_is_that_of_the_source(
        self, world: SinkWorld
    ) -> None:
        load = Load(world, WriteMode.APPEND)
        batch = rows((1, 1, "a"), (2, None, None))
        prepared = load.prepare(batch.slice(1), batch.slice(0, 1))
        assert prepared.rows == 2
        assert prepared.row_hash in ("", row_hash(batch))

    def test_what_was_prepared_travels_as_small_json(self, world: SinkWorld) -> None:
        load = Load(world, keyed_mode(world))
        text = load.prepare(rows((1, 1, "a"))).model_dump_json()
        assert len(text) < 64 * 1024
        load.sink = world.open()
        load.commit(Prepared.model_validate_json(text))
        assert load.found() == [(1, 1, "a")]

    def test_every_row_says_where_it_came_from(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 1, "a"), (2, 1, "a"))
        load.run = "run-2"
        load.put((2, 2, "b"))
        found = {row["id"]: row for row in world.read_all(load.target)}
        assert {i: (row[RUN_ID], row[SLICE]) for i, row in found.items()} == {
            1: ("run-1", piece(1).slice_id),
            2: ("run-2", piece(2).slice_id),
        }
        assert found[1][INGESTED_AT] is not None

    def test_a_source_column_with_a_reserved_name_is_refused(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.APPEND)
        with pytest.raises(SinkRejected, match=PROVENANCE_COLUMNS[0].upper()):
            load.sink.open(load.target, pa.schema([*SCHEMA, (PROVENANCE_COLUMNS[0].upper(), pa.string())]), 1)

    def test_upsert_inserts_and_updates(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 1, "a"), (2, 1, "b"))
        receipt = load.put((2, 2, "B"), (3, 1, "c"))
        assert load.found() == [(1, 1, "a"), (2, 2, "B"), (3, 1, "c")]
        assert (receipt.rows_committed, receipt.rows_deduplicated) == (2, 0)

    def test_the_newer_version_wins_even_if_it_arrives_first(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 5, "new"), (2, 1, "old"))
        receipt = load.put((1, 4, "old"), (2, 6, "new"))
        assert load.found() == [(1, 5, "new"), (2, 6, "new")]
        assert (receipt.rows_committed, receipt.rows_deduplicated) == (1, 1)

    def test_of_equal_versions_the_later_arrival_wins(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, 5, "first"))
        load.put((1, 5, "second"))
        assert load.found() == [(1, 5, "second")]
        load.commit(load.prepare(rows((1, 6, "x"), (1, 6, "y"))), load.prepare(rows((1, 6, "z"))))
        assert load.found() == [(1, 6, "z")]

    def test_a_version_that_is_null_is_the_oldest(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((1, None, "a"), (2, 1, "b"), (3, None, "c"))
        load.put((1, 1, "A"), (2, None, "B"), (3, None, "C"))
        assert load.found() == [(1, 1, "A"), (2, 1, "b"), (3, None, "C")]
        load.put((4, 1, "x"), (4, None, "y"))
        assert (4, 1, "x") in load.found()

    def test_duplicates_in_a_group_are_taken_out_and_counted(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        one = load.prepare(rows((1, 3, "newest"), (1, 1, "oldest")), rows((2, 1, "b"), (1, 2, "middle")))
        two = load.prepare(rows((2, 2, "B"), (3, 1, "c")))
        receipt = load.commit(one, two)
        assert load.found() == [(1, 3, "newest"), (2, 2, "B"), (3, 1, "c")]
        assert (receipt.rows_committed, receipt.rows_deduplicated) == (3, 3)

    def test_without_a_version_the_later_arrival_wins(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT, version=None)
        load.put((1, 9, "a"), (1, 8, "b"))
        assert load.found() == [(1, 8, "b")]
        load.put((1, 7, "c"))
        assert load.found() == [(1, 7, "c")]

    def test_null_keys_are_one_key(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        load.put((None, 1, "a"), (None, 2, "b"))
        load.put((None, 3, "c"), (1, 1, "x"))
        assert load.found() == [(1, 1, "x"), (None, 3, "c")]

    def test_composite_and_text_keys_are_compared_exactly(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT, key=("id", "text"))
        texts = ["a", "A", "a ", "á", "ä", "", "ss", "ß", "\u0065\u0301", "é"]
        load.put(*((1, 1, text) for text in texts), (2, 1, "a"), (1, 1, None))
        receipt = load.put(*((1, 2, text) for text in texts), (1, 2, None))
        assert receipt.rows_committed == len(texts) + 1
        assert load.found() == sorted([*((1, 2, text) for text in texts), (2, 1, "a"), (1, 2, None)], key=repr)

    def test_a_first_load_is_inserted_as_it_is(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.UPSERT)
        receipt = load.commit(load.prepare(rows((1, 1, "a")), first=True), load.prepare(rows((2, 1, "b")), first=True))
        assert receipt.rows_committed == 2
        load.put((2, 2, "B"))
        assert load.found() == [(1, 1, "a"), (2, 2, "B")]

    def test_an_upsert_needs_a_key_that_its_rows_have(self, world: SinkWorld) -> None:
        with pytest.raises(SinkRejected, match="key"):
            Load(world, WriteMode.UPSERT, key=())
        with pytest.raises(SinkRejected, match="'nope'"):
            Load(world, WriteMode.UPSERT, unit="public.other", key=("nope",))

    def test_c40_segments_in_any_order_give_the_same_rows(self, world: SinkWorld) -> None:
        chance = random.Random(7)
        pieces = [[(chance.randrange(6), chance.randrange(50), f"{n}-{i}") for i in range(4)] for n in range(5)]
        versions = iter(chance.sample(range(1000), 20))  # all different, so that the winner is certain
        pieces = [[(i, next(versions), text) for i, _, text in one] for one in pieces]
        expected: dict[int, Row] = {}
        for row in (row for one in pieces for row in one):
            if row[0] not in expected or int(str(expected[row[0]][1])) < row[1]:
                expected[row[0]] = row
        for attempt in range(3):
            chance.shuffle(pieces)
            load = Load(world, WriteMode.UPSERT, unit=f"public.t{attempt}")
            load.commit(*(load.prepare(rows(*one)) for one in pieces[:2]))
            for one in pieces[2:]:
                load.put(*one)
            assert load.found() == sorted(expected.values(), key=repr)

    def test_replace_shows_all_of_the_new_rows_or_none(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.REPLACE)
        load.put((1, 1, "a"), (2, 1, "b"))
        group = [load.prepare(rows((3, 1, "c"))), load.prepare(rows((4, 1, "d")))]
        assert load.found() == [(1, 1, "a"), (2, 1, "b")]
        load.commit(*group)
        assert load.found() == [(3, 1, "c"), (4, 1, "d")]

    def test_replace_by_nothing_empties_the_target(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.REPLACE)
        load.put((1, 1, "a"))
        load.commit()
        assert load.found() == []
        assert load.sink.is_empty(load.target)

    def test_a_reader_never_sees_a_part_of_a_replacement(self, world: SinkWorld) -> None:
        load = Load(world, WriteMode.REPLACE)
        load.put(*((i, 0, "old") for i in range(50)))
        seen: set[tuple[int, int]] = set()
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                found = [row["version"] for row in world.read_all(load.target)]
                seen.add((len(found), len(set(found))))

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                for round_ in range(1, 6):
                    load.put(*((i, round_, "new") for i in range(50)))
            finally:
                stop.set()
            watching.result()
        assert seen == {(50, 1)}
