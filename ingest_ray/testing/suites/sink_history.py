"""Sink suite: histories. A sink that keeps none (`keeps_history`) skips it."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.changes import COMMITTED_AT, LSN, OP, SEQ, UNCHANGED, with_changes
from ingest_ray.sdk.errors import Fenced, SinkRejected
from ingest_ray.sdk.types import Prepared, Receipt, Slice, WriteMode
from ingest_ray.sinks.history.columns import IS_CURRENT, VALID_FROM, VALID_TO
from ingest_ray.sinks.provenance import DELETED_AT, INGESTED_AT, READ_AT
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, SinkWorld, piece, rows
from ingest_ray.testing.suites.sink_samples import kept_samples

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TIMED = pa.schema([("id", pa.int64()), ("changed", pa.timestamp("us", "UTC")), ("text", pa.string())])


def history_of(world: SinkWorld, **options: Any) -> Load:
    """An attribute `is_variant` of a world says that the tests of histories run for its sink elsewhere."""
    if getattr(world, "is_variant", False):
        pytest.skip("the sink's other world runs it")
    if not getattr(world.open(), "keeps_history", False):
        pytest.skip("this sink keeps no history")
    return Load(world, WriteMode.HISTORY, **options)


def shown(load: Load, *columns: str) -> list[tuple[Any, ...]]:
    """The rows by key and begin: the columns, and whether each is current."""
    found = sorted(load.world.read_all(load.target), key=lambda row: (repr(row["id"]), str(row[VALID_FROM])))
    return [(*(row[name] for name in columns), bool(row[IS_CURRENT])) for row in found]


def check(load: Load) -> None:
    """Of each key the rows follow one another, and at most the last one is current."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in load.world.read_all(load.target):
        by_key.setdefault(repr([row[name] for name in load.key]), []).append(row)
    for found in by_key.values():
        found.sort(key=lambda row: str(row[VALID_FROM]))
        for row, after in zip(found, [*found[1:], None], strict=True):
            assert bool(row[IS_CURRENT]) == (row[VALID_TO] is None)
            assert row[VALID_TO] is None or str(row[VALID_FROM]) <= str(row[VALID_TO])
            assert after is None or (row[VALID_TO] is not None and str(row[VALID_TO]) <= str(after[VALID_FROM]))
            assert row[DELETED_AT] is None or not row[IS_CURRENT]


def timed(*values: tuple[int | None, int | None, str | None]) -> pa.RecordBatch:
    """Versions are minutes after noon."""
    found = [
        {"id": key, "changed": None if at is None else NOON + timedelta(minutes=at), "text": text}
        for key, at, text in values
    ]
    return pa.RecordBatch.from_pylist(found, schema=TIMED)


def change(load: Load, *changes: tuple[str, int | None, int | None, str | None, str | None]) -> Receipt:
    """Commits a round of a log: what happened, the key, the version, the text, and which columns keep their values."""
    schema, now = with_changes(load.schema), datetime.now(UTC)
    found = timed(*(one[1:4] for one in changes)).to_pylist()
    for number, (row, one) in enumerate(zip(found, changes, strict=True)):
        row |= {OP: one[0], LSN: number, SEQ: 0, COMMITTED_AT: now, UNCHANGED: one[4]}
    load.slices += 1
    batch = pa.RecordBatch.from_pylist(found, schema=schema)
    return load.commit(load.sink.prepare(load.target, piece(load.slices), schema, iter([batch])))


def minutes(value: Any) -> float | None:
    """A time of the table as minutes after noon."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - NOON) / timedelta(minutes=1)


def read_earlier(load: Load, batch: pa.RecordBatch, at: datetime) -> Prepared:
    """Prepares rows that an earlier run read, as a replay does."""
    load.slices += 1
    late = piece(load.slices).model_copy(update={"hints": {READ_AT: int(at.timestamp() * 1_000_000)}})
    return load.sink.prepare(load.target, Slice.model_validate(late), load.schema, iter([batch]))


class HistoryTests:
    def test_a_new_version_closes_the_row_before(self, world: SinkWorld) -> None:
        load = history_of(world)
        load.put((1, 1, "a"), (2, 1, "b"), (None, None, None), first=True)
        load.put((1, 2, "c"), (3, 1, "d"), (None, 1, "e"))
        assert shown(load, "id", "version", "text") == [
            (1, 1, "a", False),
            (1, 2, "c", True),
            (2, 1, "b", True),
            (3, 1, "d", True),
            (None, None, None, False),
            (None, 1, "e", True),
        ]
        check(load)

    def test_a_time_that_orders_versions_is_when_they_begin(self, world: SinkWorld) -> None:
        load = history_of(world, schema=TIMED, version="changed")
        load.commit(load.prepare(timed((1, 0, "a"))))
        load.commit(load.prepare(timed((1, 5, "b"))))
        load.commit(load.prepare(timed((1, 9, "c"))))
        found = sorted(world.read_all(load.target), key=lambda row: str(row[VALID_FROM]))
        times = [(row["text"], minutes(row[VALID_FROM]), minutes(row[VALID_TO])) for row in found]
        assert times == [("a", 0, 5), ("b", 5, 9), ("c", 9, None)]
        check(load)

    def test_equal_and_older_rows_change_nothing(self, world: SinkWorld) -> None:
        load = history_of(world)
        load.put((1, 5, "a"), (2, 5, None))
        load.put((1, 6, "b"), (2, 6, "c"))
        before = sorted(map(repr, world.read_all(load.target)))
        receipt = load.put((1, 6, "b"), (2, 5, None), (1, 5, "a"), (2, 6, "c"))
        assert (receipt.rows_committed, receipt.rows_deduplicated) == (0, 4)
        assert sorted(map(repr, world.read_all(load.target))) == before
        load.put((1, 5, "other"))  # a closed row keeps its values
        assert sorted(map(repr, world.read_all(load.target))) == before

    def test_a_late_version_is_put_between_its_neighbours(self, world: SinkWorld) -> None:
        load = history_of(world, schema=TIMED, version="changed")
        load.commit(load.prepare(timed((1, 0, "a"), (1, 9, "d"))))
        load.commit(load.prepare(timed((1, 5, "b"))))
        load.commit(load.prepare(timed((1, 7, "c"), (1, -3, "z"))))
        found = sorted(world.read_all(load.target), key=lambda row: str(row[VALID_FROM]))
        times = [(row["text"], minutes(row[VALID_FROM]), minutes(row[VALID_TO])) for row in found]
        assert times == [("z", -3, 0), ("a", 0, 5), ("b", 5, 7), ("c", 7, 9), ("d", 9, None)]
        check(load)

    def test_another_row_of_the_current_version_replaces_its_values(self, world: SinkWorld) -> None:
        load = history_of(world)
        load.put((1, 1, "a"), (2, 1, "x"))
        receipt = load.put((1, 1, "b"))
        assert receipt.rows_committed == 1
        load.commit(load.prepare(rows((1, 1, "c"), (1, 2, "d"))))  # its values, and then its end
        assert shown(load, "id", "version", "text") == [(1, 1, "c", False), (1, 2, "d", True), (2, 1, "x", True)]
        check(load)

    def test_several_versions_and_copies_of_a_key_in_one_commit(self, world: SinkWorld) -> None:
        load = history_of(world, key=("text", "id"))
        first, second = load.prepare(rows((1, 3, "k"), (1, 1, "k"))), load.prepare(rows((1, 2, "k"), (1, 3, "k")))
        receipt = load.commit(first, second)
        assert (receipt.rows_committed, receipt.rows_deduplicated) == (3, 1)
        assert shown(load, "id", "version") == [(1, 1, False), (1, 2, False), (1, 3, True)]
        check(load)

    def test_without_versions_a_changed_row_opens_a_new_one(self, world: SinkWorld) -> None:
        load = history_of(world, version=None)
        load.put((1, 1, "a"), (2, 1, "b"), (None, 1, None))
        for _ in range(2):
            receipt = load.put((1, 1, "a"), (2, 1, "changed"), (None, 1, None))
        assert (receipt.rows_committed, receipt.rows_deduplicated) == (0, 3)
        load.put((2, 1, "b"))
        assert shown(load, "id", "text") == [
            (1, "a", True),
            (2, "b", False),
            (2, "changed", False),
            (2, "b", True),
            (None, None, True),
        ]
        check(load)

    def test_a_replay_without_versions_changes_no_key_that_the_table_has(self, world: SinkWorld) -> None:
        load = history_of(world, version=None)
        load.put((1, 1, "a"))
        load.version = INGESTED_AT
        load.commit(read_earlier(load, rows((1, 1, "rejected"), (2, 1, "new")), datetime.now(UTC) - timedelta(hours=1)))
        assert shown(load, "id", "text") == [(1, "a", True), (2, "new", True)]

    @pytest.mark.parametrize("how", ["tombstone", "delete"])
    def test_a_delete_closes_the_row_and_one_that_comes_back_opens_another(self, world: SinkWorld, how: Any) -> None:
        load = history_of(world)
        load.put((1, 1, "a"), (2, 1, "b"), (None, 1, "n"))
        load.put((1, 2, "a2"))
        before = datetime.now(UTC)
        assert load.erase([(1,), (None,), (9,)], how) == 2
        assert load.erase([(1,)], how) == 0
        assert shown(load, "id", "version") == [(1, 1, False), (1, 2, False), (2, 1, True), (None, 1, False)]
        listed = [row["id"] for batch in load.sink.keys(load.target, SCHEMA) for row in batch.to_pylist()]
        assert listed == [2]
        load.commit(read_earlier(load, rows((1, 2, "a2"), (1, 3, "unseen")), before))  # read before it was deleted
        assert [row for row in shown(load, "id", "version") if row[0] == 1] == [
            (1, 1, False),
            (1, 2, False),
            (1, 3, False),
        ]
        load.put((1, 3, "unseen"), (None, 2, "back"))
        assert shown(load, "id", "version") == [
            (1, 1, False),
            (1, 2, False),
            (1, 3, False),
            (1, 3, True),
            (2, 1, True),
            (None, 1, False),
            (None, 2, True),
        ]
        check(load)

    def test_changes_of_a_log_open_and_close_rows_when_they_were_committed(self, world: SinkWorld) -> None:
        load = history_of(world, version=None, schema=TIMED)
        if not getattr(load.sink, "keeps_history_of_changes", False):
            pytest.skip("this sink keeps no history of changes")
        load.commit(load.prepare(timed((1, 0, "a"), (2, 0, "b"), (3, 0, "c"), (None, 0, "n")), first=True))
        receipt = change(
            load, ("update", 1, 1, "a2", "000"), ("delete", 2, None, None, None), ("insert", 4, 1, "d", None)
        )
        assert receipt.rows_committed == 3
        change(load, ("update", 1, 2, None, "001"), ("delete", None, None, None, None), ("update", 9, 1, None, "001"))
        change(load, ("insert", 2, 3, "back", None), ("insert", 4, 1, "d", None))
        assert shown(load, "id", "text") == [
            (1, "a", False),
            (1, "a2", False),
            (1, "a2", True),
            (2, "b", False),
            (2, "back", True),
            (3, "c", True),
            (4, "d", True),
            (None, "n", False),
        ]
        check(load)
        change(load, ("truncate", None, None, None, None), ("insert", 3, 4, "new", None))
        current = [row for row in shown(load, "id", "text") if row[-1]]
        assert current == [(3, "new", True)]
        gone = [row["id"] for row in world.read_all(load.target) if row[DELETED_AT] is not None]
        assert sorted(gone, key=repr) == [1, 2, 2, 3, 4, None]
        check(load)

    def test_a_commit_counts_once_and_is_fenced(self, world: SinkWorld) -> None:
        load = history_of(world)
        load.put((1, 1, "a"), (2, 1, "x"))
        group = load.prepare(rows((1, 2, "b"), (2, 1, "x")))
        receipt = load.commit(group)
        again = load.sink.commit(load.target, SCHEMA, 1, 2, [group])
        assert (again.rows_committed, again.rows_deduplicated) == (receipt.rows_committed, receipt.rows_deduplicated)
        late = load.prepare(rows((1, 3, "c")))
        load.sink.open(load.target, SCHEMA, 2)
        with pytest.raises(Fenced):
            load.sink.commit(load.target, SCHEMA, 1, 3, [late])
        assert shown(load, "id", "version") == [(1, 1, False), (1, 2, True), (2, 1, True)]

    def test_new_columns_and_wider_types_keep_what_was_closed(self, world: SinkWorld) -> None:
        load = history_of(world)
        load.put((1, 1, "a"))
        load.put((1, 2, "b"))
        load.schema = pa.schema([*SCHEMA, ("more", pa.int32())])
        load.reopen()
        batch = pa.RecordBatch.from_pylist([{"id": 1, "version": 3, "text": "c", "more": 7}], schema=load.schema)
        load.commit(load.prepare(batch))
        assert shown(load, "version", "text", "more") == [
            (1, "a", None, False),
            (2, "b", None, False),
            (3, "c", 7, True),
        ]
        check(load)

    def test_rows_read_back_are_the_current_ones(self, world: SinkWorld) -> None:
        load = history_of(world)
        load.put((1, 1, "a"), (2, 1, "b"))
        load.put((1, 2, "c"))
        load.erase([(2,)], "tombstone")
        sink: Any = load.sink
        assert sink.comparable_schema(load.target, SCHEMA).names == SCHEMA.names
        found = [row for batch in sink.read_rows(load.target, SCHEMA, ["id"], ["text"]) for row in batch.to_pylist()]
        assert found == [{"id": 1, "text": "c"}]

    def test_a_table_is_a_history_or_it_is_not(self, world: SinkWorld) -> None:
        load = history_of(world)
        load.put((1, 1, "a"))
        with pytest.raises(SinkRejected, match="is a history"):
            Load(world, WriteMode.UPSERT)
        Load(world, WriteMode.UPSERT, unit="plain").put((1, 1, "a"))
        with pytest.raises(SinkRejected, match="one row for each key"):
            Load(world, WriteMode.HISTORY, unit="plain")
        schema = pa.schema([*SCHEMA, (IS_CURRENT, pa.bool_())])
        with pytest.raises(SinkRejected, match=IS_CURRENT):
            Load(world, WriteMode.HISTORY, unit="taken", schema=schema)

    def test_equal_values_of_any_type_open_no_version(self, world: SinkWorld) -> None:
        batch = kept_samples(world).batch
        schema, most = batch.schema, batch.num_rows
        load = history_of(world, schema=schema, version=None)
        load.commit(load.prepare(batch))
        assert load.commit(load.prepare(batch)).rows_committed == 0
        other = pa.array([*range(1, most), 0], pa.int64())
        assert load.commit(load.prepare(batch.set_column(0, schema.field(0), other))).rows_committed == most

    def test_any_order_of_versions_gives_the_same_history(self, world: SinkWorld) -> None:
        chosen = random.Random(7)
        versions = [(key, at, f"{key}/{at}") for key in range(3) for at in range(6)]
        load = history_of(world, schema=TIMED, version="changed")
        chosen.shuffle(versions)
        while versions:
            count = chosen.randrange(1, 7)
            group: Sequence[Any] = [versions.pop() for _ in range(min(count, len(versions)))]
            load.commit(*(load.prepare(timed(row)) for row in group))
        check(load)
        found = sorted(world.read_all(load.target), key=lambda row: (row["id"], str(row[VALID_FROM])))
        assert [(row["text"], minutes(row[VALID_FROM]), minutes(row[VALID_TO])) for row in found] == [
            (f"{key}/{at}", at, at + 1 if at < 5 else None) for key in range(3) for at in range(6)
        ]
