"""The behaviour suite of all strategies, over MariaDB."""

from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.suites.strategy import KnownUnit, StrategySuite
from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services

ROWS: list[dict[str, Any]] = [{"id": i, "name": f"n{i}", "score": i / 4} for i in range(1, 101)]
CREATE = "CREATE TABLE t (id bigint unsigned PRIMARY KEY, name varchar(20), score double)"
FILL = "INSERT INTO t VALUES " + ", ".join(f"({r['id']}, '{r['name']}', {r['score']})" for r in ROWS)


def known_unit(maria: Maria, table: str, rows: list[dict[str, Any]], least: int = 2) -> KnownUnit:
    config = {"url": maria.url, "password": "sekret-sekret"}
    maria.run(f"CREATE USER IF NOT EXISTS 'suite'@'localhost' IDENTIFIED BY '{config['password']}'")
    maria.run("GRANT SELECT, PROCESS ON *.* TO 'suite'@'localhost'")
    config["url"] = maria.url_of("suite")
    endpoint = Endpoint(endpoint_id="my", template="jdbc.mysql", config=dict(config))
    strategy = strategy_for("jdbc.mysql")
    return KnownUnit(strategy, endpoint, f"{maria.name}.{table}", rows, secrets=["sekret-sekret"], least_slices=least)


class TestMariadbTable(StrategySuite):
    @pytest.fixture
    def known(self, maria: Maria) -> KnownUnit:
        maria.run(CREATE)
        maria.run(FILL)
        return known_unit(maria, "t", ROWS)


class TestMariadbNullableTextKey(StrategySuite):
    @pytest.fixture
    def known(self, maria: Maria) -> KnownUnit:
        rows = [{"code": f"c{i:03d}"} for i in range(97)] + [{"code": None}] * 5
        values = ", ".join("(NULL)" if r["code"] is None else f"('{r['code']}')" for r in rows)
        maria.run("CREATE TABLE t (code varchar(20) UNIQUE)")
        maria.run(f"INSERT INTO t VALUES {values}")
        return known_unit(maria, "t", rows)


class TestMariadbView(StrategySuite):
    @pytest.fixture
    def known(self, maria: Maria) -> KnownUnit:
        maria.run(CREATE)
        maria.run(FILL)
        maria.run("CREATE VIEW v AS SELECT * FROM t")
        return known_unit(maria, "v", ROWS, least=1)
