"""The behaviour suite of all strategies, over tables of each kind."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
from ingest_ray.testing.suites.strategy import KnownUnit, StrategySuite

ROWS: list[dict[str, Any]] = [{"id": i, "name": f"n{i}", "score": i / 4} for i in range(1, 101)]
CREATE = "CREATE TABLE t (id integer PRIMARY KEY, name text, score double precision)"
FILL = "INSERT INTO t VALUES " + ", ".join(f"({r['id']}, '{r['name']}', {r['score']})" for r in ROWS)


def lite(path: Path, dataset: str, rows: list[dict[str, Any]]) -> KnownUnit:
    endpoint = Endpoint(endpoint_id="lite", template="jdbc.sqlite", config={"path": str(path)})
    return KnownUnit(strategy_for("jdbc.sqlite"), endpoint, dataset, rows)


def postgres(pg: Postgres, dataset: str, rows: list[dict[str, Any]], least: int = 2) -> KnownUnit:
    config = {"url": pg.url, "password": "sekret-sekret"}
    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config=config)
    strategy = strategy_for("jdbc.postgres")
    return KnownUnit(strategy, endpoint, dataset, rows, secrets=["sekret-sekret"], least_slices=least)


class TestSqliteTable(StrategySuite):
    @pytest.fixture
    def known(self, sqlite_file: SqliteMaker) -> KnownUnit:
        return lite(sqlite_file(CREATE, FILL), "t", ROWS)


class TestSqliteNullableTextKey(StrategySuite):
    @pytest.fixture
    def known(self, sqlite_file: SqliteMaker) -> KnownUnit:
        rows = [{"code": f"c{i % 97:03d}"} for i in range(97)] + [{"code": None}] * 5
        values = ", ".join("(NULL)" if r["code"] is None else f"('{r['code']}')" for r in rows)
        return lite(sqlite_file("CREATE TABLE t (code text UNIQUE)", f"INSERT INTO t VALUES {values}"), "t", rows)


class TestPostgresTable(StrategySuite):
    @pytest.fixture
    def known(self, pg: Postgres) -> KnownUnit:
        pg.run(CREATE)
        pg.run(FILL)
        return postgres(pg, "public.t", ROWS)


class TestPostgresHeapWithoutKey(StrategySuite):
    @pytest.fixture
    def known(self, pg: Postgres) -> KnownUnit:
        pg.run("CREATE TABLE t (id integer, name text, score double precision, pad text)")
        pg.run(
            f"INSERT INTO t SELECT id, name, score, repeat('x', 1900) FROM (VALUES {FILL.split('VALUES ')[1]}) v(id, name, score)"
        )
        return postgres(pg, "public.t", [{**row, "pad": "x" * 1900} for row in ROWS])


class TestPostgresView(StrategySuite):
    @pytest.fixture
    def known(self, pg: Postgres) -> KnownUnit:
        pg.run(CREATE)
        pg.run(FILL)
        pg.run("CREATE VIEW v AS SELECT * FROM t")
        return postgres(pg, "public.v", ROWS, least=1)
