"""Whole runs whose PostgreSQL is killed at a named step, and comes back: they go on by themselves, with every row once."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.models import Endpoint, Policy, RunMode, RunState, RunSummary, UnitConfig, UnitSpec
from ingest_ray.orders import RunOrder
from ingest_ray.run import launch
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.testing.servers import Postgres, fresh_database
from strategies.jdbc import postgres
from strategies.jdbc import postgres_dialect as dialect
from strategies.jdbc.family import SqlStrategy
from tests.mortal import Mortal, mortal

__all__ = ["mortal"]
ROWS = 3_000
ITEMS = f"""
CREATE TABLE items (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text);
INSERT INTO items SELECT i, timestamptz '2025-01-01' + i * interval '1 minute', repeat('x', 100) FROM generate_series(1, {ROWS}) i;
ANALYZE items
"""


@pytest.fixture
def place(mortal: Mortal) -> Iterator[Postgres]:
    for there in fresh_database(mortal.server):
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
    mortal: Mortal,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    monkeypatch.setattr(dialect.Postgres, step, once(getattr(dialect.Postgres, step), mortal.crash))
    job = Job(tmp_path, place.url, {})
    summary = job.run()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert job.ids() == Counter(range(1, ROWS + 1))


def test_a_source_that_dies_before_it_is_asked_whether_it_changed_is_asked_again(
    tmp_path: Path,
    mortal: Mortal,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = Job(tmp_path, place.url, {})
    assert job.run().state is RunState.SUCCEEDED
    monkeypatch.setattr(SqlStrategy, "is_unchanged", dying(mortal, SqlStrategy.is_unchanged))
    summary = job.run()
    assert (summary.state, summary.rows.read) == (RunState.SUCCEEDED, 0)


def dying(mortal: Mortal, call: Callable[..., Any]) -> Callable[..., Any]:
    """The server dies while it is asked: it was there when the question began, and comes back when the answer is lost."""
    asked: list[int] = []

    def calling(*args: Any) -> Any:
        if asked:
            return call(*args)
        asked.append(1)
        mortal.kill()
        try:
            return call(*args)
        finally:
            mortal.start()

    return calling


def test_a_source_that_dies_between_two_slices_is_read_on_under_another_snapshot(
    tmp_path: Path,
    mortal: Mortal,
    place: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SqlStrategy, "read", once(SqlStrategy.read, mortal.crash, at=3))
    job = Job(tmp_path, place.url, {})
    summary = job.run()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert job.ids() == Counter(range(1, ROWS + 1))
