"""Cursors of whole seconds: rows written in the horizon's own second are not lost."""

import time
from typing import Any

import pytest

from ingest_ray.testing.servers.postgres import Postgres


@pytest.mark.parametrize("kind", ["timestamptz(0)", "timestamp(0)", "timestamptz(3)"])
def test_c25_rows_of_the_horizons_own_second_arrive_with_the_next_run(kind: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run(f"CREATE TABLE t (id serial PRIMARY KEY, at {kind} NOT NULL DEFAULT clock_timestamp())")
    pg.run("INSERT INTO t DEFAULT VALUES")
    rehearsal = pg_unit("t", cursor="at", write="append")
    seen = [row["id"] for row in rehearsal.run().rows]
    for _ in range(25):
        pg.run("INSERT INTO t DEFAULT VALUES")
        time.sleep(0.05)
    time.sleep(1.1)
    pg.run("INSERT INTO t VALUES (DEFAULT, now() - interval '1 day')")  # old: what a run without look-back never sees
    for _ in range(2):
        seen += [row["id"] for row in rehearsal.run().rows]
        time.sleep(1.1)
    assert sorted(seen) == list(range(1, 27))
