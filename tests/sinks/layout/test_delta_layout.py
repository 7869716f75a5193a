"""Delta tables with a layout: partitions, merges that read only what they must, compaction, and the change of a layout."""

import datetime as dt
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import Fenced, SinkRejected, TargetChanged
from ingest_ray.sdk.types import Layout, WriteMode
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.testing.suites.sink import Load, SinkSuite
from tests.sinks.layout.laid_out import LaidOutSink
from tests.sinks.test_delta import DeltaWorld

AT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("at", AT), ("text", pa.string())])
BY_MONTH = Layout(partition_by=("month(at)", "endpoint"))
Row = tuple[int | None, int, dt.datetime | None, str | None]


class LaidOutWorld(DeltaWorld):
    def __init__(self, root: Path, layout: Layout) -> None:
        super().__init__(root)
        self.layout = layout

    def open(self) -> Sink:
        sink: Any = LaidOutSink(DeltaSink(DeltaConfig(uri=str(self._root))), self.layout)
        return sink  # type: ignore[no-any-return]


@pytest.mark.faults
class TestLaidOutDelta(SinkSuite):
    """The behaviour suite over partitions by hash of the key, and by a column that changes."""

    @pytest.fixture(params=[("bucket(3, id)",), ("day(_ingest_at)", "endpoint")], ids=str)
    def world(self, request: pytest.FixtureRequest, tmp_path: Path) -> LaidOutWorld:
        return LaidOutWorld(tmp_path / "lake", Layout(partition_by=request.param, cluster_by=("version",)))


def at(month: int, day: int = 1) -> dt.datetime:
    return dt.datetime(2020 + month // 12, month % 12 + 1, day, 12, tzinfo=dt.UTC)


def batch(*found: Row) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in found], schema=SCHEMA)


class Unit(Load):
    """One unit whose rows have a time."""

    def put_rows(self, *found: Row, first: bool = False) -> Any:
        return self.commit(self.prepare(batch(*found), first=first))

    def rows(self) -> list[Row]:
        found = self.world.read_all(self.target)
        return sorted(((row["id"], row["version"], row["at"], row["text"]) for row in found), key=repr)

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.sink.location(self.target))


def unit(folder: Path, layout: Layout = BY_MONTH, write: WriteMode = WriteMode.UPSERT, **facts: Any) -> Unit:
    return Unit(LaidOutWorld(folder / "lake", layout), write, schema=SCHEMA, **facts)


def partitions(load: Unit) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in pa.table(load.table.get_add_actions(flatten=True)).to_pylist():
        found.setdefault(str(row["partition.at_month"]), []).append(row["path"])
    return found


def test_rows_are_in_the_partition_of_their_month_and_of_their_endpoint(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), (2, 1, at(5), "b"), (3, 1, None, "c"), first=True)
    assert load.table.metadata().partition_columns == ["at_month", "_ingest_endpoint"]
    assert sorted(partitions(load)) == ["2020-01", "2020-06", "None"]
    uri = load.sink.location(load.target)
    query = f"select id, at_month, _ingest_endpoint from delta_scan('{uri}') order by id"
    connection = duckdb.connect()
    try:
        connection.load_extension("delta")
    except duckdb.Error:
        found = load.table.to_pyarrow_table(filters=[("at_month", "=", "2020-06")]).to_pylist()
        assert [row["id"] for row in found] == [2]
        return
    assert connection.execute(query).fetchall() == [(1, "2020-01", "shop"), (2, "2020-06", "shop"), (3, None, "shop")]


def test_a_row_whose_month_changes_moves_and_is_there_once(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), (2, 1, at(0), "b"), (3, 1, None, "c"), first=True)
    load.put_rows((1, 2, at(7), "moved"), (3, 2, at(1), "known now"), (4, 1, None, "new"))
    assert [row[0] for row in load.rows()] == [1, 2, 3, 4]
    assert {row["id"]: row["at_month"] for row in load.world.read_all(load.target)} == {
        1: "2020-08",
        2: "2020-01",
        3: "2020-02",
        4: None,
    }


def spoil(load: Unit, kept: set[str]) -> int:
    """Makes every data file unreadable that is in none of the partitions `kept`; returns how many."""
    folder, spoiled = Path(load.sink.location(load.target)), 0
    for path in folder.rglob("*.parquet"):
        if "_delta_log" not in path.parts and not any(f"at_month={name}" in str(path) for name in kept):
            path.write_bytes(b"spoiled" * (path.stat().st_size // 7))
            spoiled += 1
    return spoiled


@pytest.mark.parametrize("month_count", [60, pytest.param(1_000, marks=pytest.mark.faults)])
def test_a_merge_reads_only_files_that_can_have_its_keys(tmp_path: Path, month_count: int) -> None:
    """Files of other partitions cannot be read at all, and the merge does not notice. Ids grow with time, as those of a table do."""
    load = unit(tmp_path)
    load.put_rows(*((month * 10 + n, 1, at(month), "a") for month in range(month_count) for n in range(3)), first=True)
    assert len(partitions(load)) == month_count
    old, new = at(7).strftime("%Y-%m"), at(month_count - 1).strftime("%Y-%m")
    assert spoil(load, {old, new}) == month_count - 2
    receipt = load.put_rows((70, 2, at(month_count - 1), "moved"), (month_count * 10 - 10, 2, at(month_count - 1), "b"))
    assert (receipt.rows_committed, receipt.rows_deduplicated) == (2, 0)
    load.put_rows((10**6, 1, at(month_count - 1), "new key"))
    assert load.erase([(70,), (71,)], "delete") == 2
    assert load.erase([(72,), (10**9,)], "tombstone") == 1


def test_where_the_key_decides_the_partition_no_key_is_read(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout(partition_by=("truncate(100, id)",)))
    load.put_rows(*((number * 100, 1, None, "a") for number in range(20)), first=True)
    folder = Path(load.sink.location(load.target))
    for path in folder.rglob("*.parquet"):
        if "id_trunc_100=700" not in str(path):
            path.write_bytes(b"spoiled")
    load.put_rows((700, 2, None, "b"), (701, 1, None, "c"))
    load.put_rows((9_900, 1, None, "in a partition of its own"))
    kept = load.table.to_pyarrow_table(filters=[("id_trunc_100", "=", 700)]).to_pylist()
    assert sorted((row["id"], row["text"]) for row in kept) == [(700, "b"), (701, "c")]


LAYOUTS = [
    Layout(partition_by=("month(at)", "endpoint")),
    Layout(partition_by=("bucket(3, id)",), cluster_by=("text", "id")),
    Layout(partition_by=("text", "year(at)")),
    Layout(partition_by=("truncate(2, id)", "day(at)"), cluster_by=("id",)),
    Layout(partition_by=(), cluster_by=("at",)),
]


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(3, 40))])
def test_any_history_of_a_laid_out_table_has_the_rows_of_a_plain_model(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    load = unit(tmp_path, chance.choice(LAYOUTS))
    model: dict[int | None, Row] = {}
    for step in range(8):
        action = chance.choice(["put", "put", "put", "erase", "compact", "relayout", "reopen"])
        if action == "put":
            rows = [
                (chance.choice([None, *range(8)]), step, drawn_time(chance), chance.choice(["x", "y", None]))
                for _ in range(5)
            ]
            load.put_rows(*rows)
            model |= {row[0]: row for row in rows}
        elif action == "erase":
            gone = chance.sample(range(8), 2)
            assert load.erase([(key,) for key in gone], "delete") == len(
                [model.pop(key) for key in gone if key in model]
            )
        elif action == "compact":
            upkeep(load).compact(load.target)
        elif action == "relayout":
            change_layout(load, chance.choice(LAYOUTS))
        else:
            load.reopen()
        assert load.rows() == sorted(model.values(), key=repr), (seed, step, action)
        assert_partitions_are_right(load)


def drawn_time(chance: random.Random) -> dt.datetime | None:
    return chance.choice([None, at(chance.randrange(30), 1 + chance.randrange(3))])


def upkeep(load: Unit) -> Any:
    return load.sink


def change_layout(load: Unit, layout: Layout) -> None:
    load.epoch += 1
    assert isinstance(load.world, LaidOutWorld)
    load.world.layout = layout
    load.sink = load.world.open()
    upkeep(load).relayout(load.target, SCHEMA, load.epoch)
    load.sink.open(load.target, SCHEMA, load.epoch)


def assert_partitions_are_right(load: Unit) -> None:
    """Each row has the values that its partition names, and the columns of the layout, no others."""
    assert isinstance(load.world, LaidOutWorld)
    wanted = load.world.layout.partitions or ()
    assert load.table.metadata().partition_columns == [one.name for one in wanted]
    for row in load.world.read_all(load.target):
        moment = row["at"]
        right = {
            "at_month": moment and moment.strftime("%Y-%m"),
            "at_year": moment and moment.year,
            "at_day": moment and moment.date(),
            "_ingest_endpoint": "shop",
            "id_trunc_2": None if row["id"] is None else row["id"] // 2 * 2,
        }
        for one in wanted:
            if one.name in right:
                assert row[one.name] == right[one.name]
        extra = set(row) - {*SCHEMA.names, "_ingest_run_id", "_ingest_slice", "_ingest_at", "_deleted_at"}
        assert extra == {one.name for one in wanted if one.is_derived}


def test_another_layout_is_refused_until_relayout_and_nothing_is_changed(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), (2, 1, at(1), "b"), first=True)
    before, version = load.rows(), load.table.version()
    assert isinstance(load.world, LaidOutWorld)
    load.world.layout = Layout(partition_by=("day(at)",))
    load.sink = load.world.open()
    with pytest.raises(TargetChanged, match="partitioned by month") as caught:
        load.sink.open(load.target, SCHEMA, 1)
    assert "ingest-ray relayout shop public.orders" in str(caught.value.hint)
    assert (load.table.version(), load.rows()) == (version, before)
    with pytest.raises(Fenced):
        upkeep(load).relayout(load.target, SCHEMA, 0)
    report = upkeep(load).relayout(load.target, SCHEMA, 2)
    assert (report.files_removed, report.files_added) == (2, 2)
    assert load.table.metadata().partition_columns == ["at_day"]
    assert "at_month" not in [field.name for field in load.table.schema().fields]
    assert load.sink.open(load.target, SCHEMA, 2) == 1
    assert upkeep(load).relayout(load.target, SCHEMA, 2).files_added == 0
    load.epoch = 2
    load.put_rows((2, 2, at(4), "B"))
    assert load.rows() == [before[0], (2, 2, at(4), "B")]


def test_a_layout_that_is_taken_out_of_the_configuration_is_still_that_of_the_table(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), first=True)
    load.sink = DeltaSink(DeltaConfig(uri=str(tmp_path / "lake")))
    load.reopen()
    load.put_rows((2, 1, at(3), "b"), (1, 2, at(2), "A"))
    assert sorted(partitions(load)) == ["2020-03", "2020-04"]


def test_a_replacement_brings_its_layout_with_it(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout(), WriteMode.REPLACE)
    load.put_rows((1, 1, at(0), "a"))
    assert isinstance(load.world, LaidOutWorld)
    for layout, columns in (
        (BY_MONTH, ["at_month", "_ingest_endpoint"]),
        (Layout(partition_by=("day(at)",)), ["at_day"]),
    ):
        load.world.layout = layout
        load.sink = load.world.open()
        load.reopen()
        load.put_rows((1, 1, at(0), "a"), (2, 1, at(5), "b"))
        assert load.table.metadata().partition_columns == columns
        assert_partitions_are_right(load)
    load.world.layout = Layout(partition_by=())
    load.sink = load.world.open()
    load.reopen()
    load.put_rows((3, 1, at(0), "a"))
    assert load.table.metadata().partition_columns == []
    assert load.rows() == [(3, 1, at(0), "a")]
    load.commit()
    assert load.rows() == []


def test_a_column_with_the_name_of_a_partition_is_refused_by_name(tmp_path: Path) -> None:
    clash = pa.schema([*SCHEMA, ("AT_month", pa.string())])
    with pytest.raises(SinkRejected, match="'AT_month' has the name of the partition month"):
        Unit(LaidOutWorld(tmp_path / "lake", BY_MONTH), WriteMode.UPSERT, schema=clash)
    with pytest.raises(SinkRejected, match=r"names column 'nope'"):
        unit(tmp_path, Layout(partition_by=("nope",)))
    with pytest.raises(SinkRejected, match=r"month\(text\) does not take column 'text'"):
        unit(tmp_path, Layout(partition_by=("month(text)",)))


def test_a_column_of_a_partition_that_becomes_wider_is_derived_again(tmp_path: Path) -> None:
    narrow = SCHEMA.set(0, pa.field("id", pa.int32()))
    load = Unit(
        LaidOutWorld(tmp_path / "lake", Layout(partition_by=("truncate(10, id)",))), WriteMode.UPSERT, schema=narrow
    )
    load.commit(load.prepare(batch((1, 1, None, "a"), (25, 1, None, "b")).cast(narrow)))
    load.schema = SCHEMA
    load.reopen()
    load.put_rows((2**40, 1, None, "c"))
    assert {row["id"]: row["id_trunc_10"] for row in load.world.read_all(load.target)} == {
        1: 0,
        25: 20,
        2**40: 2**40 // 10 * 10,
    }


def test_small_files_are_compacted_in_order_by_the_run_that_finds_too_many(tmp_path: Path) -> None:
    layout = Layout(partition_by=("month(at)",), cluster_by=("text", "id"), compact_after=4)
    load = unit(tmp_path, layout, WriteMode.APPEND)
    for number in range(4):
        load.put_rows((number, 1, at(0), "yx"[number % 2]), (number, 1, at(1), None))
    load.reopen()
    assert len(partitions(load)["2020-01"]) == 4
    load.put_rows((9, 1, at(0), "a"))
    before = load.rows()
    load.reopen()
    assert {name: len(paths) for name, paths in partitions(load).items()} == {"2020-01": 1, "2020-02": 1}
    assert load.rows() == before
    assert load.sink.open(load.target, SCHEMA, load.epoch) == 5
    path = Path(load.sink.location(load.target), partitions(load)["2020-01"][0])
    assert pq.ParquetFile(path).read(["text", "id"]).to_pylist() == [
        {"text": text, "id": number} for text, number in (("a", 9), ("x", 1), ("x", 3), ("y", 0), ("y", 2))
    ]


def test_a_compaction_that_a_commit_came_before_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(partition_by=("month(at)",))
    load = unit(tmp_path, layout)
    for number in range(3):
        load.put_rows((number, 1, at(0), "a"))
    other = LaidOutWorld(tmp_path / "lake", layout)
    commits: Sequence[Any] = [load.prepare(batch((1, 2, at(0), "b")))]

    def commit_first(name: str) -> None:
        if commits:
            load.sequence += 1
            other.open().commit(load.target, SCHEMA, 1, load.sequence, [commits.pop()])  # type: ignore[attr-defined]

    monkeypatch.setattr("ingest_ray.sinks.delta.layout.compaction.reached", commit_first)
    report = upkeep(load).compact(load.target)
    assert report.files_added == 1
    assert load.rows() == [(0, 1, at(0), "a"), (1, 2, at(0), "b"), (2, 1, at(0), "a")]


def test_rows_of_a_table_without_partitions_are_in_order_from_the_first_write(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout(cluster_by=("id",)), WriteMode.APPEND)
    load.put_rows((3, 1, None, "c"), (1, 1, None, "a"), (2, 1, None, "b"))
    (path,) = load.table.file_uris()
    assert pq.ParquetFile(path).read(["id"]).column("id").to_pylist() == [1, 2, 3]


def test_vacuum_takes_the_files_of_the_old_layout(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), (2, 1, at(1), "b"), first=True)
    change_layout(load, Layout(partition_by=("day(at)",)))
    folder = Path(load.sink.location(load.target))
    for path in folder.rglob("*.parquet"):
        os.utime(path, (0, 0))
    upkeep(load).vacuum(load.target, keep_h=24)
    assert load.rows() == [(1, 1, at(0), "a"), (2, 1, at(1), "b")]
