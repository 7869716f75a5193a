"""Writers that the server hardly shows: no row of theirs is skipped."""

from collections import Counter
from typing import Any

import pytest

from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres

TIMED = "CREATE TABLE t (id serial PRIMARY KEY, v text, ts {0} NOT NULL DEFAULT now())"


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_strategies.jdbc.postgres.horizon.LOCK_WAIT_S", 0.1)


def missing_ids(unit: Rehearsal, pg: Postgres) -> set[int]:
    return {row[0] for row in pg.run("SELECT id FROM t")} - {row["id"] for row in unit.appended}


def assert_each_once(unit: Rehearsal) -> None:
    assert {key: n for key, n in Counter(row["id"] for row in unit.appended).items() if n > 1} == {}


def horizon_of(unit: Rehearsal) -> Any:
    assert unit.outcome.probe is not None
    return unit.outcome.probe.horizon


def test_a_transaction_of_a_session_without_tracking_is_found(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) VALUES ('a')")
    unit = pg_unit("t", cursor="ts", write="append")
    unit.run()
    late, idle = pg.connect(), pg.connect()
    idle.autocommit = True
    for session in (late, idle):
        pg.run("SET track_activities = off", session)
    late.commit()
    pg.run("INSERT INTO t (v) VALUES ('late')", late)
    pg.run("INSERT INTO t (v) VALUES ('early')")
    unit.run()
    horizon = horizon_of(unit)
    late.commit()
    unit.run()
    assert missing_ids(unit, pg) == set()
    assert_each_once(unit)
    assert horizon.method == "held at the watermark by transactions whose start is unknown"
    assert "track_activities" in horizon.note
    assert horizon_of(unit).method == "server clock", "a session without a transaction holds nothing"


def test_a_value_taken_before_its_row_is_inserted_holds_a_counter(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) VALUES ('a')")
    unit = pg_unit("t", cursor="id", write="append")
    unit.run()
    orm = pg.connect()
    taken = pg.run("SELECT nextval('t_id_seq')", orm)[0][0]
    pg.run("INSERT INTO t (v) VALUES ('other')")
    unit.run()
    pg.run(f"INSERT INTO t (id, v) VALUES ({taken}, 'taken before')", orm)
    orm.commit()
    unit.run()
    assert missing_ids(unit, pg) == set()
    assert_each_once(unit)
    assert "policy lag" in horizon_of(unit).note


@pytest.mark.parametrize("setting", ["CACHE 10", "INCREMENT BY 10"])
def test_blocks_of_values_of_two_sessions_are_not_skipped(setting: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run(f"ALTER SEQUENCE t_id_seq {setting}")
    first, second = pg.connect(), pg.connect()
    unit = pg_unit("t", cursor="id", write="append")

    def insert(session: Any, step: int) -> None:
        """As an application does that numbers the rows of a block by itself."""
        if setting == "CACHE 10":
            pg.run("INSERT INTO t (v) VALUES ('cached')", session)
        else:
            pg.run(f"INSERT INTO t (id, v) VALUES ({step}, 'numbered')", session)
        session.commit()

    insert(first, 1)
    insert(second, 11)
    unit.run()
    insert(first, 2)
    insert(second, 12)
    unit.run()
    assert "lag: " in horizon_of(unit).note
    assert "blocks of 10 values" in horizon_of(unit).note
    for number in range(200):
        pg.run(f"INSERT INTO t (id, v) VALUES ({1000 + number}, 'far above')")
    unit.run()
    assert {1, 2, 11, 12} <= {row["id"] for row in unit.appended}
    assert_each_once(unit)
    sure = pg_unit("t", cursor="id", write="append", lag=0)
    sure.run()
    assert horizon_of(sure).value == (1200,)


def test_writers_to_inheriting_tables_hold_a_counter(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("CREATE TABLE child () INHERITS (t)")
    pg.run("CREATE TABLE grandchild () INHERITS (child)")
    pg.run("INSERT INTO t (v) VALUES ('a')")
    unit = pg_unit("t", cursor="id", write="append")
    unit.run()
    late = pg.connect()
    # The sequence is locked as well until the transaction ends, so the value is one that was taken before.
    taken = pg.run("SELECT nextval('t_id_seq')")[0][0]
    pg.run(f"INSERT INTO grandchild (id, v) VALUES ({taken}, 'late')", late)
    pg.run("INSERT INTO child (v) VALUES ('early')")
    unit.run()
    late.commit()
    unit.run()
    unit.run()
    assert missing_ids(unit, pg) <= {3}, "the newest may wait for a larger value, where the key is not unique"
    assert taken in {row["id"] for row in unit.appended}
    assert_each_once(unit)
