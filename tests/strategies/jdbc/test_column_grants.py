"""A role that may read some columns of a table: they are read, whatever else the table has."""

from typing import Any

import pytest

from ingest_ray.sdk.types import Dataset, Endpoint, Policy, RunMode, UnitConfig, UnitSpec
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.templates import mysql, postgres
from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services
ROWS = 50


def rows_of(strategy: Any, source: Endpoint, name: str, **policy: Any) -> list[dict[str, Any]]:
    dataset: Dataset = next(found for found in strategy.collect(source) if found.name == name)
    mode = RunMode.INCREMENTAL if "cursor" in policy else RunMode.FULL
    config = UnitConfig(endpoint_id="e", unit_id=name, sink_id="s", run_mode=mode, policy=Policy(**policy))
    return Rehearsal(strategy, UnitSpec(endpoint=source, dataset=dataset, config=config)).run().rows


POLICIES = [
    {"columns": ("name", "city")},
    {"columns": ("name", "city"), "primary_key": ("name",)},
    {"columns": ("name", "city"), "cursor": "name", "write": "append"},
]


@pytest.mark.parametrize("policy", POLICIES, ids=["full", "key", "cursor"])
def test_grants_on_columns_of_mariadb_are_enough(maria: Maria, policy: dict[str, Any]) -> None:
    maria.run("CREATE TABLE people (id int PRIMARY KEY, name varchar(20), secret varchar(20), city text)")
    maria.run(f"INSERT INTO people SELECT seq, lpad(seq, 3, '0'), 'secret', 'b' FROM seq_1_to_{ROWS}")
    maria.run("CREATE USER IF NOT EXISTS 'partly'@'localhost'")
    maria.run("GRANT PROCESS ON *.* TO 'partly'@'localhost'")
    maria.run(f"GRANT SELECT (name, city) ON `{maria.name}`.people TO 'partly'@'localhost'")
    source = Endpoint(endpoint_id="e", template="jdbc.mysql", config={"url": maria.url_of("partly")})
    rows = rows_of(mysql, source, f"{maria.name}.people", **policy)
    assert len(rows) >= ROWS - 1
    assert set(rows[0]) == {"name", "city"}


@pytest.mark.parametrize("policy", POLICIES, ids=["full", "key", "cursor"])
def test_grants_on_columns_of_postgres_are_enough(pg: Postgres, policy: dict[str, Any]) -> None:
    pg.run("CREATE TABLE people (id int PRIMARY KEY, name varchar(20), secret varchar(20), city text)")
    pg.run(f"INSERT INTO people SELECT i, lpad(i::text, 3, '0'), 'secret', 'b' FROM generate_series(1, {ROWS}) i")
    pg.run(f"CREATE ROLE partly_{pg.name} LOGIN")
    pg.run(f"GRANT SELECT (name, city) ON people TO partly_{pg.name}")
    source = Endpoint(endpoint_id="e", template="jdbc.postgres", config={"url": pg.url_of(f"partly_{pg.name}")})
    rows = rows_of(postgres, source, "public.people", **policy)
    assert len(rows) >= ROWS - 1
    assert set(rows[0]) == {"name", "city"}
