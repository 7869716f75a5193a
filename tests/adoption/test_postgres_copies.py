"""PostgreSQL tables whose commits copy rows from files of their readers."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import LocalFileStager, Sink
from ingest_ray.sdk.errors import LedgerMismatch, RowsRejected, StagingLost, StagingUnavailable
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.databases.postgres import copy_sink
from ingest_ray.sinks.databases.postgres.database import PostgresDatabase, PostgresSession
from ingest_ray.sinks.databases.postgres.wire_session import WireSession
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink_adoption import AdoptionTests, new_rows, stage
from ingest_ray.testing.suites.sink_harness import Load, rows
from tests.sinks.test_postgres import PostgresWorld, _run


class CopyingWorld(PostgresWorld):
    def __init__(self, pg: Postgres, folder: Path) -> None:
        super().__init__(pg)
        self.folder = folder / "run-1"
        self.database: Any = None

    def open(self) -> Sink:
        sink = super().open()
        assert isinstance(sink, LocalFileStager)
        sink.stage_in(str(self.folder))
        self.database = sink._db  # type: ignore[attr-defined]
        return sink

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*"))

    def stages(self) -> list[str]:
        return list(self.database.list_stages("_ingest_stage_"))


@pytest.fixture(params=["driver", "machine code"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What encodes the copied rows."""
    if request.param == "machine code":
        monkeypatch.setattr(copy_sink, "LARGE_BYTES", 0)
    return str(request.param)


@pytest.fixture
def world(encoder: str, pg: Postgres, tmp_path: Path) -> CopyingWorld:
    return CopyingWorld(pg, tmp_path)


class TestAdoption(AdoptionTests):
    world = pytest.fixture(lambda self, encoder, pg, tmp_path: CopyingWorld(pg, tmp_path))


@pytest.mark.parametrize("write", [WriteMode.APPEND, WriteMode.REPLACE, WriteMode.UPSERT, WriteMode.HISTORY])
def test_rows_are_written_once_and_their_file_is_deleted(
    world: CopyingWorld, encoder: str, monkeypatch: pytest.MonkeyPatch, write: WriteMode
) -> None:
    load = Load(world, write)
    sessions, copy_rows = [], PostgresDatabase.copy_rows

    def noting(self: PostgresDatabase, session: Any, *rest: Any) -> int:
        sessions.append(type(session))
        return copy_rows(self, session, *rest)

    monkeypatch.setattr(PostgresDatabase, "copy_rows", noting)
    group = [stage(load, rows((1, 1, "a"), (2, 1, None))), stage(load, rows((3, 1, "c")))]
    assert (len(world.files()), world.stages()) == (2, [])
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in world.files())
    load.sink.commit(load.target, load.schema, 1, 1, group)
    assert (world.files(), world.stages()) == ([], [])
    assert sessions == [PostgresSession if encoder == "driver" else WireSession] * 2
    found = world.read_all(load.target)
    assert sorted((row["id"], row["text"]) for row in found) == [(1, "a"), (2, None), (3, "c")]
    assert {(row["_ingest_run_id"], row["_deleted_at"]) for row in found} == {("run-1", None)}
    if write is WriteMode.HISTORY:
        assert all(row["_is_current"] and row["_valid_from"] and row["_valid_to"] is None for row in found)


@pytest.mark.parametrize(
    "change",
    [
        "create rule also as on update to {0} do nothing",
        "alter table {0} enable row level security, force row level security;"
        " create policy everything on {0} using (true) with check (true)",
        "alter table {0} alter column version type numeric(20, 2)",
        "alter table {0} add column mine text default 'x'",
        "create function noted() returns trigger language plpgsql as 'begin return new; end';"
        " create trigger noting before insert on {0} for each row execute function noted()",
    ],
    ids=["rule", "row security", "type", "column", "trigger"],
)
def test_a_table_that_was_changed_meanwhile_takes_the_same_rows(world: CopyingWorld, change: str) -> None:
    load = Load(world, WriteMode.APPEND)
    staged = stage(load, rows((1, 1, "a"), (2, 1, "b")))
    _run(world._pg, change.format(f'"{unit_table_name(load.target)}"'))
    load.commit(staged)
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]
    assert (world.files(), world.stages()) == ([], [])


def test_rows_that_a_trigger_drops_are_counted(world: CopyingWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    staged = stage(load, rows((1, 1, "a"), (2, 1, "b")))
    _run(
        world._pg,
        "create function dropping() returns trigger language plpgsql as"
        " 'begin if new.id = 1 then return null; end if; return new; end';"
        f' create trigger dropping before insert on "{unit_table_name(load.target)}" for each row execute function dropping()',
    )
    with pytest.raises(LedgerMismatch, match="took 1 rows instead of 2"):
        load.commit(staged)
    assert load.found() == []


@pytest.mark.parametrize("damage", ["gone", "cut", "overwritten"])
def test_a_file_that_was_lost_is_not_committed_as_nothing(world: CopyingWorld, damage: str) -> None:
    load = Load(world, WriteMode.REPLACE)
    load.commit(stage(load, rows((9, 1, "kept"))))
    staged = stage(load, rows((1, 1, "a"), (2, 1, "b")))
    (file,) = world.files()
    if damage == "gone":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes(content[:-9] if damage == "cut" else b"\0" * len(content))
    with pytest.raises(StagingLost):
        load.commit(staged)
    assert load.found() == [(9, 1, "kept")]


def test_rows_of_a_file_are_merged_where_others_of_the_group_are(world: CopyingWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.commit(stage(load, rows((1, 1, "a"), (2, 1, "b"))))
    receipt = load.commit(stage(load, rows((2, 2, "new"))), load.prepare(rows((3, 1, "c")), first=False))
    assert receipt.rows_committed == 2
    assert load.found() == [(1, 1, "a"), (2, 2, "new"), (3, 1, "c")]
    assert (world.files(), world.stages()) == ([], [])


def test_a_key_that_the_index_of_merges_cannot_hold_is_inserted(world: CopyingWorld) -> None:
    schema = pa.schema([("id", pa.string()), ("version", pa.int64()), ("text", pa.string())])
    load = Load(world, WriteMode.UPSERT, schema=schema)
    load.commit(load.prepare(pa.record_batch([["a"], [1], ["a"]], schema=schema), first=False))
    noise = "".join(chr(0x4E00 + number * 37 % 9000) for number in range(4_000))
    load.commit(stage(load, pa.record_batch([[noise], [1], ["long"]], schema=schema)))
    assert len(world.read_all(load.target)) == 2


def test_rows_of_json_go_into_a_stage_where_the_database_checks_them(world: CopyingWorld) -> None:
    schema = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("j", pa.json_())])
    load = Load(world, WriteMode.APPEND, schema=schema)

    def batch(text: str) -> pa.RecordBatch:
        json = pa.ExtensionArray.from_storage(pa.json_(), pa.array([text]))
        return pa.RecordBatch.from_arrays([pa.array([1]), pa.array([1]), json], schema=schema)

    with pytest.raises(RowsRejected):
        stage(load, batch("{no json"))
    staged = stage(load, batch('{"a": 1}'))
    assert (world.files(), len(world.stages())) == ([], 1)
    load.commit(staged)
    assert [row["j"] for row in world.read_all(load.target)] == ['{"a": 1}']


def test_a_folder_that_cannot_be_written_is_an_error_of_staging(world: CopyingWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    world.folder.write_text("a file")
    assert isinstance(load.sink, LocalFileStager)
    with pytest.raises(StagingUnavailable, match="staging at"):
        load.sink.stage_files(load.target, new_rows(1), 1, load.schema, [rows((1, 1, "a"))])


def test_without_a_local_folder_readers_write_stages_of_the_database(pg: Postgres) -> None:
    world = PostgresWorld(pg)
    load = Load(world, WriteMode.APPEND)
    load.commit(stage(load, rows((1, 1, "a"))))
    assert load.found() == [(1, 1, "a")]
