"""DDL on a table while it is loaded: neither it nor the application's queries wait for the load, and every row lands once."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
from ingest_ray.sdk.types import Endpoint, Policy, RunMode, RunState, RunSummary, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc import reader
from ingest_strategies.jdbc.postgres import session
from ingest_strategies.jdbc.templates import mysql, postgres
from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services

ROWS = 4_000
PATIENCE_S = 30  # after so long, DDL that waits for the load is an error instead of a test that never ends


class Disturbance:
    """Statements of other sessions, issued one after the other while a slice is read; `waiting` counts those that wait."""

    def __init__(self, waiting: Callable[[], int], sessions: list[Callable[[], Any]]) -> None:
        self.has_begun = False
        self.errors: list[Exception] = []
        self._waiting = waiting
        self._threads = [threading.Thread(target=self._perform, args=(session,)) for session in sessions]

    def _perform(self, statement: Callable[[], Any]) -> None:
        try:
            statement()
        except Exception as error:
            self.errors.append(error)

    def begin(self) -> None:
        self.has_begun = True
        deadline = time.monotonic() + PATIENCE_S
        for number, thread in enumerate(self._threads, 1):
            thread.start()
            while self._waiting() < number and thread.is_alive():
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def join(self) -> None:
        """Nothing holds them up any more, although the load is not over."""
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)
        assert (self.errors, any(map(threading.Thread.is_alive, self._threads))) == ([], False)


def disturb(monkeypatch: pytest.MonkeyPatch, disturbance: Disturbance, at_slice: int = 3) -> None:
    """Before the end of a slice: its reader holds its locks. The next slice is read when the others are done."""
    slices = 0
    read_rows, read_slice = reader.stream_rows, reader.read_once

    def stream_rows(*args: Any) -> Iterator[pa.RecordBatch]:
        nonlocal slices
        slices += 1
        yield from read_rows(*args)
        if slices == at_slice:
            disturbance.begin()

    def read_once(*args: Any) -> Iterator[pa.RecordBatch]:
        if disturbance.has_begun:
            disturbance.join()
        yield from read_slice(*args)

    monkeypatch.setattr(reader, "stream_rows", stream_rows)
    monkeypatch.setattr(reader, "read_once", read_once)


def run(folder: Path, template: Any, config: dict[str, Any], table: str, **policy: Any) -> RunSummary:
    source = Endpoint(endpoint_id="shop", template=template.descriptor.template, config=config)
    dataset = next(found for found in template.collect(source) if found.name.endswith(f".{table}"))
    unit = UnitConfig(
        endpoint_id="shop",
        unit_id=dataset.name,
        sink_id="store",
        run_mode=RunMode.INCREMENTAL if "cursor" in policy else RunMode.FULL,
        policy=Policy(target_slice_bytes=64 * 1024, **policy),
    )
    order = RunOrder(
        run_id="run-1",
        settings=Settings(
            home=str(folder), state_url=f"sqlite:///{folder}/state.db", ray=RaySettings(inline_below=2**40)
        ),
        spec=UnitSpec(endpoint=source, dataset=dataset, config=unit),
        sink=Endpoint(endpoint_id="store", template="sql", config={"url": f"sqlite:///{folder}/sink.db"}),
    )
    return launch([order], lambda _: None, lambda: False)[0]


def landed(folder: Path) -> Counter[int]:
    with sqlite3.connect(folder / "sink.db") as sink:
        ((table,),) = sink.execute("SELECT name FROM sqlite_master WHERE name LIKE '%items'")
        return Counter(key for (key,) in sink.execute(f'SELECT id FROM "{table}"'))


@pytest.fixture
def items(pg: Postgres) -> Postgres:
    pg.run("CREATE TABLE items (id int, at timestamptz, note text, old text)")
    pg.run(
        f"INSERT INTO items SELECT i, '2025-01-01'::timestamptz + i * interval '1 s', repeat('x', 100)"
        f" FROM generate_series(1, {ROWS}) i"
    )
    pg.run("DELETE FROM items WHERE id % 4 = 0")  # VACUUM FULL then moves every row
    pg.run("ANALYZE items")
    return pg


EXPECTED = Counter(n for n in range(1, ROWS + 1) if n % 4)


@pytest.mark.parametrize(
    "ddl", ["VACUUM FULL items", "ALTER TABLE items ALTER id TYPE int USING id + 0 * length(note)"]
)
@pytest.mark.parametrize("key", ["", "ALTER TABLE items ADD PRIMARY KEY (id)"])
@pytest.mark.parametrize("policy", [{}, {"cursor": "at"}], ids=["full", "incremental"])
def test_postgres_ddl_does_not_wait_for_a_load(
    items: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ddl: str, key: str, policy: dict[str, Any]
) -> None:
    if key:
        items.run(key)

    def execute(statement: str) -> Callable[[], Any]:
        session = items.connect()
        session.autocommit = True
        items.run(f"SET lock_timeout = '{PATIENCE_S}s'", session)
        return lambda: items.run(statement, session)

    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'items'::regclass"
    change = Disturbance(lambda: items.run(waiting)[0][0], [execute(ddl), execute("SELECT count(*) FROM items")])
    disturb(monkeypatch, change)
    summary = run(tmp_path, postgres, {"url": items.url, "lock_timeout_s": 1}, "items", **policy)
    change.join()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert landed(tmp_path) == EXPECTED
    assert change.has_begun


def test_a_slice_that_its_reader_does_not_take_off_gives_way_to_ddl(
    items: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = items.connect()
    session.autocommit = True
    items.run(f"SET lock_timeout = '{PATIENCE_S}s'", session)
    original = reader.stream_rows
    done: list[Any] = []

    def stream_rows(*args: Any) -> Iterator[pa.RecordBatch]:
        for batch in original(*args):
            if not done:
                done.append(items.run("ALTER TABLE items ADD COLUMN more int", session))
            yield batch

    monkeypatch.setattr(reader, "stream_rows", stream_rows)
    summary = run(tmp_path, postgres, {"url": items.url, "lock_timeout_s": 0.4}, "items")
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert landed(tmp_path) == EXPECTED


def test_a_statement_that_takes_ten_minutes_gives_way_to_ddl(items: Postgres, tmp_path: Path) -> None:
    """A view is one slice, and one statement; this one is only quick after the table was changed."""
    items.run("ALTER TABLE items RENAME TO stock")
    is_slow = "id = 1 AND to_regclass('public.changed') IS NULL"
    items.run(
        "CREATE VIEW items AS SELECT id, at, note FROM stock"
        f" WHERE CASE WHEN {is_slow} THEN pg_sleep(600) IS NOT NULL ELSE true END"
    )
    session = items.connect()
    session.autocommit = True
    items.run(f"SET lock_timeout = '{PATIENCE_S}s'", session)
    reading = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"

    def change() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not items.run(reading, session)[0][0] and time.monotonic() < deadline:
            time.sleep(0.02)
        for statement in ("BEGIN", "CREATE TABLE changed ()", "ALTER TABLE stock ADD COLUMN more int", "COMMIT"):
            items.run(statement, session)

    thread = threading.Thread(target=change)
    thread.start()
    summary = run(tmp_path, postgres, {"url": items.url, "lock_timeout_s": 0.4}, "items")
    thread.join(PATIENCE_S)
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert landed(tmp_path) == EXPECTED


def test_an_alter_table_that_moves_no_row_costs_a_load_nothing(
    items: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = items.connect()
    session.autocommit = True
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'items'::regclass"
    change = Disturbance(
        lambda: items.run(waiting)[0][0], [lambda: items.run("ALTER TABLE items ADD COLUMN new int DEFAULT 7", session)]
    )
    disturb(monkeypatch, change)
    assert run(tmp_path, postgres, {"url": items.url}, "items").state is RunState.SUCCEEDED
    change.join()
    assert landed(tmp_path) == EXPECTED
    assert "beginning again" not in caplog.text


@pytest.mark.parametrize("policy", [{}, {"cursor": "at"}], ids=["full", "incremental"])
def test_a_table_that_is_emptied_below_a_view_is_not_taken_for_an_empty_view(
    items: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: dict[str, Any]
) -> None:
    """An old snapshot shows a table without rows after TRUNCATE: what is there afterwards has to land."""
    items.run("ALTER TABLE items RENAME TO stock")
    items.run("CREATE VIEW items AS SELECT id, at, note FROM stock")
    session = items.connect()
    session.autocommit = True
    copy = "BEGIN; CREATE TEMP TABLE kept AS TABLE stock; TRUNCATE stock; INSERT INTO stock TABLE kept; COMMIT"
    probed = reader.read_once

    def read_once(*args: Any) -> Iterator[pa.RecordBatch]:
        if not done:
            done.append(True)
            for statement in copy.split("; "):
                items.run(statement, session)
        yield from probed(*args)

    done: list[bool] = []
    monkeypatch.setattr(reader, "read_once", read_once)
    assert run(tmp_path, postgres, {"url": items.url}, "items", **policy).state is RunState.SUCCEEDED
    assert landed(tmp_path) == EXPECTED


def test_a_table_that_stays_locked_is_waited_for(
    items: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While a VACUUM FULL runs on, the run neither fails nor ends: it is planned again when the table is free."""
    monkeypatch.setattr(reader, "LOCK_PATIENCE_S", 0.0)
    monkeypatch.setattr(session, "LOCK_PATIENCE_S", 0.0)
    locker = items.connect()
    locked: list[bool] = []
    original = reader.read_once

    def read_once(*args: Any) -> Iterator[pa.RecordBatch]:
        if not locked:
            locked.append(True)
            items.run("LOCK TABLE items", locker)
        yield from original(*args)

    def free(_: Any) -> None:
        if "another session has locked" in caplog.text:
            locker.rollback()

    monkeypatch.setattr(reader, "read_once", read_once)
    monkeypatch.setattr("ingest_ray.run.start_retry.LOCKED_PAUSE_S", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr("ingest_ray.run.start_retry._wait", lambda *_: free(None))
        summary = run(tmp_path, postgres, {"url": items.url, "lock_timeout_s": 0.2}, "items")
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert landed(tmp_path) == EXPECTED


def test_collect_does_not_wait_for_a_locked_table(items: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    items.run("CREATE TABLE free (id int)")
    locker = items.connect()
    items.run("LOCK TABLE items", locker)
    source = Endpoint(endpoint_id="shop", template="jdbc.postgres", config={"url": items.url, "lock_timeout_s": 0.2})
    found = {dataset.name: dataset for dataset in postgres.collect(source)}
    assert {name: len(dataset.columns) for name, dataset in found.items()} == {"public.items": 4, "public.free": 1}
    assert found["public.items"].estimated_bytes is None
    assert "public.items" in caplog.text
    locker.rollback()


def test_mariadb_ddl_does_not_wait_for_a_load(maria: Maria, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maria.run("CREATE TABLE items (id int PRIMARY KEY, note text)")
    maria.run(f"INSERT INTO items SELECT seq, repeat('x', 100) FROM seq_1_to_{ROWS}")

    def execute(statement: str) -> Callable[[], Any]:
        session = maria.connect(autocommit=True)
        maria.run(f"SET SESSION lock_wait_timeout = {PATIENCE_S}", session)
        return lambda: maria.run(statement, session)

    waiting = "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock'"
    ddl = "ALTER TABLE items ADD COLUMN new int, FORCE"
    change = Disturbance(lambda: maria.run(waiting)[0][0], [execute(ddl), execute("SELECT count(*) FROM items")])
    disturb(monkeypatch, change)
    summary = run(tmp_path, mysql, {"url": maria.url, "lock_timeout_s": 1}, "items")
    change.join()
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert landed(tmp_path) == Counter(range(1, ROWS + 1))
    assert change.has_begun


@pytest.mark.parametrize("is_view", [False, True], ids=["table", "view"])
def test_a_slice_of_mariadb_that_its_reader_does_not_take_off_gives_way_to_ddl(
    maria: Maria, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_view: bool
) -> None:
    """The application's next queries would wait behind the DDL as long as the slice lasts."""
    maria.run("CREATE TABLE stock (id int PRIMARY KEY, note text)")
    maria.run(f"INSERT INTO stock SELECT seq, repeat('x', 100) FROM seq_1_to_{ROWS}")
    if is_view:
        maria.run("CREATE VIEW seen AS SELECT s.id, s.note FROM stock s")
        maria.run("CREATE VIEW items AS SELECT id, note FROM seen")
    else:
        maria.run("RENAME TABLE stock TO items")
    session = maria.connect(autocommit=True)
    maria.run(f"SET SESSION lock_wait_timeout = {PATIENCE_S}", session)
    original = reader.stream_rows
    done: list[Any] = []

    def stream_rows(*args: Any) -> Iterator[pa.RecordBatch]:
        for batch in original(*args):
            if not done:
                done.append(maria.run(f"ALTER TABLE {'stock' if is_view else 'items'} ADD COLUMN more int", session))
            yield batch

    monkeypatch.setattr(reader, "stream_rows", stream_rows)
    summary = run(tmp_path, mysql, {"url": maria.url, "lock_timeout_s": 0.4}, "items")
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert landed(tmp_path) == Counter(range(1, ROWS + 1))
    assert done


def test_a_statement_of_mariadb_that_takes_ten_minutes_gives_way_to_ddl(maria: Maria, tmp_path: Path) -> None:
    """A view is one slice, and one statement; this one is only quick after the table was changed."""
    maria.run("CREATE TABLE stock (id int PRIMARY KEY, note text)")
    maria.run("CREATE TABLE marker (id int)")
    maria.run(f"INSERT INTO stock SELECT seq, repeat('x', 100) FROM seq_1_to_{ROWS}")
    maria.run(
        "CREATE VIEW items AS SELECT id, note FROM stock WHERE"
        " CASE WHEN id = 1 AND NOT EXISTS (SELECT 1 FROM marker) AND note > '' THEN sleep(600) = 0 ELSE TRUE END"
    )
    session = maria.connect(autocommit=True)
    maria.run(f"SET SESSION lock_wait_timeout = {PATIENCE_S}", session)
    reading = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'"

    def change() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not maria.run(reading, session)[0][0] and time.monotonic() < deadline:
            time.sleep(0.02)
        maria.run("INSERT INTO marker VALUES (1)", session)
        maria.run("ALTER TABLE stock ADD COLUMN more int, FORCE", session)

    thread = threading.Thread(target=change)
    thread.start()
    summary = run(tmp_path, mysql, {"url": maria.url, "lock_timeout_s": 0.4}, "items", columns=["id"])
    thread.join(PATIENCE_S)
    assert (summary.state, summary.error) == (RunState.SUCCEEDED, None)
    assert landed(tmp_path) == Counter(range(1, ROWS + 1))


def test_a_statement_that_waits_for_another_table_is_not_given_way_to(maria: Maria) -> None:
    from ingest_strategies.jdbc.mysql.dialect import Mysql
    from ingest_strategies.jdbc.mysql.lock_waits import sessions_that_wait

    maria.run("CREATE TABLE items (id int PRIMARY KEY)")
    maria.run("CREATE TABLE items_old (id int PRIMARY KEY)")
    own, holder, waiter = (maria.connect() for _ in range(3))
    maria.run("SELECT * FROM items_old", holder)
    maria.run("SELECT 1", own)
    thread = threading.Thread(target=lambda: maria.run("ALTER TABLE items_old ADD COLUMN items int", waiter))
    thread.start()
    waiting = "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock'"
    deadline = time.monotonic() + PATIENCE_S
    while not maria.run(waiting)[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    endpoint = Endpoint(endpoint_id="shop", template="jdbc.mysql", config={"url": maria.url})
    with Mysql().open(endpoint) as session:
        found = [sessions_that_wait(session, own.thread_id(), maria.name, name) for name in ("item", "items_old")]
    holder.rollback()
    thread.join(PATIENCE_S)
    assert found == [set(), {waiter.thread_id()}]


def test_collect_does_not_wait_for_a_locked_table_of_mariadb(maria: Maria) -> None:
    maria.run("CREATE TABLE items (id int PRIMARY KEY, note text)")
    maria.run("CREATE VIEW seen AS SELECT id FROM items")
    locker = maria.connect(autocommit=True)
    maria.run("LOCK TABLES items WRITE, seen WRITE", locker)
    source = Endpoint(endpoint_id="shop", template="jdbc.mysql", config={"url": maria.url, "lock_timeout_s": 1})
    found = {dataset.name: len(dataset.columns) for dataset in mysql.collect(source)}
    assert found[f"{maria.name}.items"] == 2
    maria.run("UNLOCK TABLES", locker)
