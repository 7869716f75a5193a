"""A table that others inherit from: its keys are not unique over the rows that a SELECT of it gives."""

from collections import Counter
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import WriteMode
from ingest_ray.testing.servers.postgres import Postgres


def create_family(pg: Postgres, first_id_of_child: int) -> None:
    pg.run("CREATE TABLE p (id int PRIMARY KEY, v text, ts timestamptz NOT NULL DEFAULT now(), UNIQUE (v, id))")
    pg.run("CREATE TABLE k () INHERITS (p)")
    pg.run("INSERT INTO p SELECT i, 'parent' FROM generate_series(1, 30) i")
    pg.run(f"INSERT INTO k SELECT {first_id_of_child} + i, 'child' FROM generate_series(0, 299) i")
    pg.run("ANALYZE")


def test_rows_of_parent_and_child_with_one_key_arrive_each_once(pg: Postgres, pg_unit: Any) -> None:
    create_family(pg, 1)
    full, incremental = pg_unit("p"), pg_unit("p", cursor="ts")
    for unit in (full, incremental):
        assert unit.spec.dataset.primary_key == ()
        assert unit.spec.dataset.unique_keys == ()
        unit.run()
        assert Counter(row["v"] for row in unit.appended) == {"parent": 30, "child": 300}
        assert len(unit.outcome.slices) == 1
        assert "none of its keys is unique" in unit.outcome.probe.facts["inherited"]
    assert incremental.spec.write_mode is WriteMode.APPEND
    pg.run("INSERT INTO k VALUES (1, 'new')")
    incremental.run()
    assert [row["v"] for row in incremental.outcome.rows] == ["new"]
    assert full.strategy.describe(full.spec.endpoint, full.spec.dataset) == full.spec.dataset


@pytest.mark.parametrize("policy", [{"cursor": "ts"}, {"write": "upsert"}])
def test_a_declared_key_is_counted_over_all_tables(policy: dict[str, Any], pg: Postgres, pg_unit: Any) -> None:
    create_family(pg, 1)
    with pytest.raises(ConfigError, match="30 values that several rows share"):
        pg_unit("p", primary_key=("id",), **policy).run()
    pg.run("UPDATE k SET id = id + 1000")
    unit = pg_unit("p", primary_key=("id",), **policy)
    unit.run()
    assert len(unit.sink) == 330


def test_a_child_and_a_partitioned_table_keep_their_keys(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    pg.run("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)")
    pg.run("CREATE TABLE q (id int PRIMARY KEY)")
    pg.run("CREATE TABLE child (PRIMARY KEY (id)) INHERITS (q)")
    assert pg_unit("p").spec.dataset.primary_key == ("id",)
    assert pg_unit("child").spec.dataset.primary_key == ("id",)
    assert pg_unit("q").spec.dataset.primary_key == ()
