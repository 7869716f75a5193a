"""Whole runs whose PostgreSQL is killed at a named step, and comes back: they go on by themselves, with every row once."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.cdm import model_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.quarantine.rejected_rows import list_quarantine
from ingest_ray.run import launch
from ingest_ray.sdk.types import Endpoint, ModelCounts, Policy, RunMode, RunState, RunSummary, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.sinks.databases import table_sink
from ingest_ray.sinks.databases.commit_ledger import CommitLedger
from ingest_ray.sinks.databases.model_sink import SqlModelSink
from ingest_ray.sinks.databases.postgres import copy_sink
from ingest_ray.sinks.databases.table_sink import SqlSink
from ingest_ray.testing.servers.postgres import Postgres, fresh_database
from ingest_strategies.jdbc.postgres import dialect as dialect
from ingest_strategies.jdbc.strategy import SqlStrategy
from ingest_strategies.jdbc.templates import postgres
from tests.killable_postgres import KillablePostgres, killable_postgres
from tests.run.installation import Installation
from tests.run.test_cdm import MAPPING, CdmInstallation
from tests.run.test_killed import killed_at

__all__ = ["killable_postgres"]
ROWS = 3_000
ITEMS = f"""
CREATE TABLE items (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text);
INSERT INTO items SELECT i, timestamptz '2025-01-01' + i * interval '1 minute', repeat('x', 100) FROM generate_series(1, {ROWS}) i;
ANALYZE items
"""


@pytest.fixture
def place(killable_postgres: KillablePostgres) -> Iterator[Postgres]:
    for there in fresh_database(killable_postgres.server):
        for statement in ITEMS.split(";\n"):
            there.run(statement)
        yield there


@dataclass
class Job:
    """`items` of a PostgreSQL into a table of SQLite."""

    folder: Path
    url: str
    policy: dict[str, Any]
    runs: int = 0

    def run(self) -> RunSummary:
        self.runs += 1
        source = Endpoint(endpoint_id="shop", template="jdbc.postgres", config={"url": self.url})
        (dataset,) = postgres.collect(source)
        config = UnitConfig(
            endpoint_id="shop",
            unit_id=dataset.name,
            sink_id="store",
            run_mode=RunMode.INCREMENTAL,
            policy=Policy(cursor="at", target_slice_bytes=64 * 1024, **self.policy),
        )
        order = RunOrder(
            run_id=f"run-{self.runs}",
            settings=Settings(
                home=str(self.folder),
                state_url=f"sqlite:///{self.folder}/state.db",
                ray=RaySettings(inline_below=2**40),
            ),
            spec=UnitSpec(endpoint=source, dataset=dataset, config=config),
            sink=Endpoint(endpoint_id="store", template="sql", config={"url": f"sqlite:///{self.folder}/sink.db"}),
        )
        return launch([order], lambda _: None, lambda: False)[0]

    def ids(self) -> Counter[int]:
        with sqlite3.connect(self.folder / "sink.db") as sink:
            return Counter(key for (key,) in sink.execute("SELECT id FROM public_items"))


def once(call: Callable[..., Any], before: Callable[[], None], at: int = 1) -> Callable[..., Any]:
    """The call, with something that happens before it is made for the `at`-th time."""
    times: list[int] = []

    def calling(*args: Any, **options: Any) -> Any:
        times.append(1)
        if len(times) == at:
            before()
        return call(*args, **options)

    return calling


@pytest.mark.parametrize("step", ["check_columns", "size"])
def test_a_source_that_dies_while_a_run_looks_at_it_is_looked_at_again(
    tmp_path: Path,
    killable_postgres: KillablePostgres,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    monkeypatch.setattr(dialect.Postgres, step, once(getattr(dialect.Postgres, step), killable_postgres.crash))
    job = Job(tmp_path, place.url, {})
    summary = job.run()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert job.ids() == Counter(range(1, ROWS + 1))


def test_a_source_that_dies_before_it_is_asked_whether_it_changed_is_asked_again(
    tmp_path: Path,
    killable_postgres: KillablePostgres,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = Job(tmp_path, place.url, {})
    assert job.run().state is RunState.SUCCEEDED
    monkeypatch.setattr(SqlStrategy, "is_unchanged", dying(killable_postgres, SqlStrategy.is_unchanged))
    summary = job.run()
    assert (summary.state, summary.rows.read) == (RunState.SUCCEEDED, 0)


def dying(killable_postgres: KillablePostgres, call: Callable[..., Any]) -> Callable[..., Any]:
    """The server dies while it is asked: it was there when the question began, and comes back when the answer is lost."""
    asked: list[int] = []

    def calling(*args: Any) -> Any:
        if asked:
            return call(*args)
        asked.append(1)
        killable_postgres.kill()
        try:
            return call(*args)
        finally:
            killable_postgres.start()

    return calling


def test_a_source_that_dies_between_two_slices_is_read_on_under_another_snapshot(
    tmp_path: Path,
    killable_postgres: KillablePostgres,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SqlStrategy, "read", once(SqlStrategy.read, killable_postgres.crash, at=3))
    job = Job(tmp_path, place.url, {})
    summary = job.run()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert job.ids() == Counter(range(1, ROWS + 1))


# --- the sink's server, between prepare and commit

STAGES = "SELECT relname FROM pg_class WHERE relname LIKE '\\_ingest\\_stage%' ORDER BY oid"


@dataclass
class Warehouse(Installation):
    """Scripted rows into a PostgreSQL."""

    url: str = ""

    def order(self, **task: str) -> RunOrder:
        sink = Endpoint(endpoint_id="lake", template="sql", config={"url": self.url})
        return super().order(**task).model_copy(update={"sink": sink})


def in_table(place: Postgres, table: str, column: str = "id") -> Counter[int]:
    reader = Postgres(place.folder, place.name)
    try:
        return Counter(int(key) for (key,) in reader.run(f"SELECT {column} FROM {table}"))
    finally:
        reader.close()


def empty(place: Postgres, at_most: int) -> None:
    """What a crash does to stages, to some of them."""
    for (stage,) in place.run(STAGES)[:at_most]:
        place.run(f"TRUNCATE {stage}")


def lose(there: Warehouse, place: Postgres, at_most: int) -> None:
    """Stages in the database, or files of rows that readers staged."""
    empty(place, at_most)
    for file in sorted((there.folder / "staging").glob("*/_ingest_stage_*.arrow"))[:at_most]:
        file.unlink()


@pytest.mark.parametrize("write", ["append", "upsert"])
@pytest.mark.parametrize(
    "step",
    [
        "read:after-batch@2",
        "sink:after-prepare@2",
        "state:after-intent@2",
        "sink:before-commit",
        "sink:in-commit",
        "sink:after-commit",
        "state:before-fold",
        "state:before-clear",
    ],
)
def test_a_run_that_is_killed_around_a_copy_is_resumed_with_every_row_once(
    tmp_path: Path, place: Postgres, step: str, write: str
) -> None:
    """Readers stage files, whose rows the commit copies; those of the dead run are swept by the next one."""
    there = Warehouse(tmp_path, unit="numbers-2x1000", policy={"cursor": "at", "write": write}, url=place.url)
    killed_at(there, step)
    staged = list((tmp_path / "staging").rglob("*.arrow"))
    assert staged or step in ("sink:after-commit", "state:before-fold", "state:before-clear")
    assert there.run().state is RunState.SUCCEEDED
    assert in_table(place, '"numbers_2x1000"') == there.expected_ids()
    assert not list((tmp_path / "staging").rglob("*.arrow"))
    assert place.run(STAGES) == []
    assert there.run().rows.read == 0


def started_at(place: Postgres) -> Any:
    """When its server was started: another time after a crash."""
    reader = Postgres(place.folder, place.name)
    try:
        return reader.run("SELECT pg_postmaster_start_time()")
    finally:
        reader.close()


# The rows are prepared; they are copied or moved, their number is not recorded; all is done but the COMMIT itself.
STEPS_OF_A_COMMIT = {
    "before": (SqlSink, "commit"),
    "amid": (CommitLedger, "record_commit"),
    "at its end": (table_sink, "reached"),
}


@pytest.mark.parametrize("step", STEPS_OF_A_COMMIT)
@pytest.mark.parametrize(("staging", "encoder"), [("auto", "driver"), ("auto", "machine code"), ("files", "driver")])
def test_a_sink_that_dies_around_a_commit_is_filled_by_the_same_run(
    tmp_path: Path,
    killable_postgres: KillablePostgres,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    staging: str,
    encoder: str,
    step: str,
) -> None:
    """A crash before a commit takes nothing of it where its rows are in files: the sink connects again, and nothing is tried twice.
    `max_attempts`: other slices are prepared meanwhile, and fail as often as the server's recovery lasts."""
    policy = {"cursor": "at", "max_attempts": 30}
    there = Warehouse(tmp_path, "numbers-2x1500", policy=policy, threads=3, url=place.url, staging=staging)
    if encoder == "machine code":
        monkeypatch.setattr(copy_sink, "LARGE_BYTES", 0)
    owner, name = STEPS_OF_A_COMMIT[step]
    first_start = started_at(place)
    monkeypatch.setattr(owner, name, once(getattr(owner, name), killable_postgres.crash))
    summary = there.run()
    assert started_at(place) != first_start
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert summary.retries >= (0 if (staging, step) == ("auto", "before") else 1)
    assert summary.rows.read == summary.rows.committed == 3000
    assert in_table(place, '"numbers_2x1500"') == there.expected_ids()
    assert there.run().rows.read == 0


def test_a_crash_before_a_copy_loses_nothing_that_its_readers_staged(
    tmp_path: Path, killable_postgres: KillablePostgres, place: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Warehouse(tmp_path, threads=1, url=place.url)
    first_start = started_at(place)
    monkeypatch.setattr(SqlSink, "commit", once(SqlSink.commit, killable_postgres.crash))
    summary = there.run()
    assert started_at(place) != first_start
    assert (summary.state, summary.retries, summary.rows.committed) == (RunState.SUCCEEDED, 0, 2000)
    assert set(Counter(there.reads()).values()) == {1}
    assert in_table(place, '"numbers_1x2000"') == there.expected_ids()


@pytest.mark.parametrize(
    ("mode", "policy"),
    [
        (RunMode.INCREMENTAL, {"cursor": "at"}),
        (RunMode.INCREMENTAL, {"cursor": "at", "write": "append"}),
        (RunMode.FULL, {}),
    ],
)
@pytest.mark.parametrize(("lost", "staging"), [(1, "auto"), (99, "auto"), (99, "files")])
def test_stages_that_are_lost_before_a_commit_are_read_again_in_the_same_run(
    tmp_path: Path,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    mode: RunMode,
    policy: dict[str, Any],
    lost: int,
    staging: str,
) -> None:
    there = Warehouse(tmp_path, mode=mode, policy=policy, url=place.url, source={"bad": [7]}, staging=staging)
    monkeypatch.setattr(SqlSink, "commit", once(SqlSink.commit, lambda: lose(there, place, lost)))
    summary = there.run()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert (summary.rows.read, summary.rows.committed, summary.rows.quarantined) == (2000, 1999, 1)
    assert in_table(place, '"numbers_1x2000"') == there.expected_ids() - Counter([7])
    assert len(there.reads()) > 8
    assert len(list_quarantine(there.settings.quarantine_uri, "e", there.unit)) == 1


@pytest.mark.parametrize("staging", ["auto", "files"])
def test_stages_that_are_lost_each_time_end_the_run_with_their_error_and_the_next_one_goes_on(
    tmp_path: Path, place: Postgres, monkeypatch: pytest.MonkeyPatch, staging: str
) -> None:
    there = Warehouse(tmp_path, policy={"cursor": "at", "max_attempts": 3}, url=place.url, staging=staging)
    commit = SqlSink.commit

    def losing(*args: Any) -> Any:
        lose(there, place, 99)
        return commit(*args)

    with monkeypatch.context() as patch:
        patch.setattr(SqlSink, "commit", losing)
        summary = there.run()
    assert summary.error is not None
    assert (summary.state, summary.error.code, summary.rows.committed) == (RunState.FAILED, "E_STAGE_LOST", 0)
    assert max(Counter(there.reads()).values()) == 3
    assert there.run().state is RunState.SUCCEEDED
    assert in_table(place, '"numbers_1x2000"') == there.expected_ids()


@pytest.mark.parametrize("mode", [RunMode.INCREMENTAL, RunMode.FULL])
def test_a_lost_stage_of_one_model_is_read_again_for_all_models(
    tmp_path: Path, place: Postgres, monkeypatch: pytest.MonkeyPatch, mode: RunMode
) -> None:
    there = CdmInstallation(tmp_path, url=place.url, mode=mode)
    monkeypatch.setattr(SqlModelSink, "commit", once(SqlModelSink.commit, lambda: empty(place, 1)))
    summary = there.run()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert summary.models == {name: ModelCounts(mapped=1200, committed=1200) for name in MAPPING}
    assert len(there.reads()) > 6
    for model in map(model_of, MAPPING):
        assert in_table(place, f"{model.family}.{model.table}", "_source_key") == there.expected_ids()
