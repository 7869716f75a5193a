"""Connections to the shared in-memory database do not see each other, and may be used side by side."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from ingest_ray.sdk.scratch_database import open_scratch


def test_connections_have_their_own_views_and_temporary_tables() -> None:
    first, second = open_scratch(), open_scratch()
    for number, connection in enumerate((first, second)):
        connection.register("rows", pa.table({"n": [number]}))
        connection.execute("create temp table kept as select n + 10 as n from rows")
    for number, connection in enumerate((first, second)):
        assert connection.execute("select rows.n, kept.n from rows, kept").fetchall() == [(number, number + 10)]
    first.close()
    assert second.execute("select n from kept").fetchall() == [(11,)]
    second.close()
    third = open_scratch()
    assert third.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]
    third.close()


def test_threads_work_side_by_side() -> None:
    def count(number: int) -> int:
        connection = open_scratch()
        connection.register("rows", pa.table({"n": list(range(number))}))
        connection.execute("create temp table doubled as select n * 2 as n from rows")
        ((total,),) = connection.execute("select coalesce(sum(n), 0) from doubled").fetchall()
        connection.close()
        return int(total)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(count, range(200))) == [number * (number - 1) for number in range(200)]
