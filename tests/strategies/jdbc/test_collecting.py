"""Collecting datasets: patterns that include and exclude, schemas, and every kind of relation."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.servers.postgres import Postgres
from tests.strategies.jdbc.maria import Maria


def collected(template: str, **config: Any) -> dict[str, str]:
    """Name -> kind."""
    endpoint = Endpoint(endpoint_id="e", template=template, config=config)
    return {dataset.name: dataset.kind for dataset in strategy_for(template).collect(endpoint)}


def test_patterns_over_sqlite_tables(sqlite_file: Any) -> None:
    names = ("orders", "order_lines", "Orders_old", "customers", "odd [name]")
    path: Path = sqlite_file(*(f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY);' for name in names))
    assert set(collected("jdbc.sqlite", path=str(path))) == set(names)
    assert set(collected("jdbc.sqlite", path=str(path), include=["order*"])) == {"orders", "order_lines"}
    selected = collected("jdbc.sqlite", path=str(path), include=["order*", "cust*"], exclude=["*_lines"])
    assert set(selected) == {"orders", "customers"}
    assert set(collected("jdbc.sqlite", path=str(path), exclude=["*"])) == set()
    assert set(collected("jdbc.sqlite", path=str(path), include=["odd [[]name]"])) == {"odd [name]"}


@pytest.mark.services
def test_schemas_patterns_and_kinds_of_postgres(pg: Postgres) -> None:
    pg.run(
        """CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY); CREATE TABLE public.orders (id int);
        CREATE VIEW sales.recent AS SELECT * FROM sales.orders;
        CREATE MATERIALIZED VIEW sales.daily AS SELECT * FROM sales.orders;
        CREATE TABLE sales.log (id int, d date) PARTITION BY RANGE (d);
        CREATE TABLE sales.log_2026 PARTITION OF sales.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        CREATE TEMP TABLE passing (id int)"""
    )
    datasets = collected("jdbc.postgres", url=pg.url)
    assert datasets["public.orders"] == "table"
    assert {name.partition(".")[0] for name in datasets} == {"public", "sales"}
    sales = collected("jdbc.postgres", url=pg.url, schemas=["sales"])
    assert set(sales) == {"sales.orders", "sales.recent", "sales.daily", "sales.log"}
    assert len({sales[name] for name in ("sales.orders", "sales.recent", "sales.daily")}) == 3
    some = collected("jdbc.postgres", url=pg.url, include=["*.orders", "sales.d*"], exclude=["public.*"])
    assert set(some) == {"sales.orders", "sales.daily"}


@pytest.mark.services
def test_schemas_patterns_and_kinds_of_mariadb(maria: Maria) -> None:
    for statement in (
        "TABLE orders (id int PRIMARY KEY)",
        "TABLE `lines` (id int)",
        "VIEW recent AS SELECT * FROM orders",
    ):
        maria.run(f"CREATE {statement}")
    own = collected("jdbc.mysql", url=maria.url)
    assert own == {f"{maria.name}.orders": "table", f"{maria.name}.lines": "table", f"{maria.name}.recent": "view"}
    assert set(collected("jdbc.mysql", url=maria.url, include=["*.o*"])) == {f"{maria.name}.orders"}
    assert set(collected("jdbc.mysql", url=maria.url, exclude=["*.o*", "*.l*"])) == {f"{maria.name}.recent"}


@pytest.mark.services
def test_a_filter_that_the_database_cannot_parse_is_an_error_of_the_policy(pg_unit: Any, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY)")
    for where in ("nocol = 1", "id = = 1", "id = 'x'", "nofunc(id)"):
        with pytest.raises(ConfigError) as caught:
            pg_unit("t", where=where).run()
        message = f"{caught.value.message} {caught.value.hint}"
        assert "where" in message
        assert "LINE 1" not in message
        assert "libpq" not in message


@pytest.mark.services
@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_declared_key_that_rows_share_is_refused_where_no_cursor_orders_them(
    kind: str, pg: Postgres, pg_unit: Any, maria: Maria
) -> None:
    run, unit = (pg.run, pg_unit) if kind == "postgres" else (maria.run, maria.unit)
    run("CREATE TABLE t (id int, at int NOT NULL)")
    run("INSERT INTO t VALUES (1, 1), (1, 2), (2, 3), (NULL, 4)")
    shared = "field 'primary_key': id has 1 values that several rows share"
    with pytest.raises(ConfigError, match=shared):
        unit("t", primary_key=("id",), write="upsert").run()
    replaced = unit("t", primary_key=("id",), write="replace")
    with replaced.strategy.probe(replaced.spec, {}) as probe:
        assert probe.rows == 4
    run("DELETE FROM t WHERE id = 1 AND at = 2")
    assert len(unit("t", primary_key=("id",), write="upsert").run().rows) == 3


@pytest.mark.services
def test_c29_a_heap_whose_rows_share_a_key_is_merged_from_the_start(pg: Postgres, pg_unit: Any) -> None:
    """Inserted as they are, two versions of one row would both stay."""
    pg.run("CREATE TABLE t (id int, at int NOT NULL)")
    pg.run("INSERT INTO t SELECT i % 60, i FROM generate_series(1, 100) i")
    outcome = pg_unit("t", cursor="at", primary_key=("id",)).run()
    assert len(outcome.rows) == 100
    assert not any(piece.is_insert_only for piece in outcome.slices)
    pg.run("DELETE FROM t WHERE at <= 40")
    assert all(piece.is_insert_only for piece in pg_unit("t", cursor="at", primary_key=("id",)).run().slices)


def collected_datasets(template: str, **config: Any) -> dict[str, Any]:
    endpoint = Endpoint(endpoint_id="e", template=template, config=config)
    return {dataset.name: dataset for dataset in strategy_for(template).collect(endpoint)}


@pytest.mark.services
def test_a_table_that_is_being_altered_is_collected_without_its_size(pg: Postgres) -> None:
    pg.run("CREATE TABLE free (id int PRIMARY KEY); CREATE TABLE held (id int PRIMARY KEY)")
    connection = pg.connect()
    pg.run("BEGIN", connection)
    pg.run("LOCK TABLE held IN ACCESS EXCLUSIVE MODE", connection)
    found = collected_datasets("jdbc.postgres", url=pg.url, statement_timeout_s=1)
    connection.close()
    assert found["public.held"].estimated_bytes is None
    assert [column.name for column in found["public.held"].columns] == ["id"]
    assert set(found) == {"public.free", "public.held"}


@pytest.mark.services
def test_a_catalog_query_that_fails_for_all_is_asked_for_each(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest_strategies.jdbc.postgres import catalog

    pg.run("CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE odd (id int); CREATE TABLE zero ()")
    monkeypatch.setattr(
        catalog,
        "_COLUMNS",
        catalog._COLUMNS.replace("a.attnum > 0", "a.attnum > 0 AND 1 / (c.relname <> 'odd')::int = 1"),
    )
    found = collected_datasets("jdbc.postgres", url=pg.url, include=["public.*"])
    assert "division by zero" in found["public.odd"].facts["fault"]
    assert found["public.good"].primary_key == ("id",)
    assert found["public.zero"].columns == ()


@pytest.mark.services
def test_a_broken_view_of_mariadb_is_named_with_the_servers_reason(maria: Maria) -> None:
    for statement in ("TABLE base (id int)", "TABLE other (id int)", "VIEW broken AS SELECT * FROM base"):
        maria.run(f"CREATE {statement}")
    maria.run("DROP TABLE base")
    found = collected_datasets("jdbc.mysql", url=maria.url)
    assert "invalid table" in found[f"{maria.name}.broken"].facts["fault"]
    assert [column.name for column in found[f"{maria.name}.other"].columns] == ["id"]


@pytest.mark.services
def test_schemas_and_tables_whose_joined_names_collide_are_two_units(
    pg: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest_ray.sdk.refs import UnitRef
    from ingest_ray.service.endpoints.collect import collect
    from ingest_ray.service.runs.execution import run
    from ingest_ray.service.units.gate import gate
    from tests.service.workspace import ALL, Workspace

    pg.run(
        'CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE TABLE a."b.c" (id int PRIMARY KEY); INSERT INTO a."b.c" VALUES (1);'
        'CREATE TABLE "a.b".c (id int PRIMARY KEY); INSERT INTO "a.b".c VALUES (2), (3)'
    )
    monkeypatch.delenv("INGEST_HOME", raising=False)
    workspace = Workspace(tmp_path)
    config = {"url": pg.url, "schemas": ["a", "a.b"]}
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.postgres", "config": config}]
    workspace.document["units"] = [dict(ALL)]
    workspace.apply()
    found = collect(workspace.installation, "shop")
    assert sorted(found.differences.added) == ['"a.b".c', "a.b.c"]
    for _ in range(2):
        report = run(workspace.installation, "shop")
        assert {unit.unit_id: unit.rows.committed for unit in report.units} == {'"a.b".c': 2, "a.b.c": 1}
    facts = gate(workspace.installation, UnitRef("shop", '"a.b".c')).spec.dataset.facts
    assert (facts["schema"], facts["table"]) == ("a.b", "c")
