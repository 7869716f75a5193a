"""Keys that are equal at the source and differ as they travel would be two rows of an upsert: they need consent."""

from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
from tests.strategies.jdbc.maria import Maria


def assert_needs_consent(make: Any) -> Any:
    """Only an upsert does."""
    unit = make()
    with pytest.raises(ConfigError, match="differ in spelling"):
        unit.strategy.check(unit.spec)
    for policy in ({"write": "append"}, {"allow_lossy": True}):
        unit = make(**policy)
        unit.strategy.check(unit.spec)
    return unit


POSTGRES = [
    "interval",
    "text COLLATE any_case",
    "numeric",
    "double precision",
    "bpchar",
    "jsonb",
    "any_case_text",
    "int4range",
]


@pytest.mark.parametrize("kind", POSTGRES)
def test_postgres_keys_of_two_spellings_need_consent(kind: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run('CREATE COLLATION any_case FROM "C"')
    pg.run("CREATE DOMAIN any_case_text AS text COLLATE any_case")
    pg.run(f"CREATE TABLE t (k {kind} PRIMARY KEY, ts timestamptz NOT NULL DEFAULT now())")
    # The embedded server is built without ICU, the one provider of such collations: the catalog says what ICU's would.
    pg.run("UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'any_case'")
    unit = assert_needs_consent(lambda **policy: pg_unit("t", cursor="ts", **policy))
    unit.run()
    assert list(unit.outcome.probe.facts["key_spellings"]) == ["k"]
    assert unit.strategy.describe(unit.spec.endpoint, unit.spec.dataset) == unit.spec.dataset


@pytest.mark.parametrize("kind", ["text", "varchar(9)", "char(9)", "numeric(9, 2)", "uuid", "date", "bytea", "int[]"])
def test_postgres_keys_of_one_spelling_need_none(kind: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run(f"CREATE TABLE t (k {kind} PRIMARY KEY, d interval, ts timestamptz NOT NULL DEFAULT now())")
    unit = pg_unit("t", cursor="ts")
    unit.strategy.check(unit.spec)


def test_an_interval_written_again_in_another_spelling_is_another_row(pg: Postgres, pg_unit: Any) -> None:
    """What the consent is asked for."""
    pg.run("CREATE TABLE t (k interval PRIMARY KEY, v int, ts timestamptz NOT NULL DEFAULT clock_timestamp())")
    pg.run("INSERT INTO t VALUES ('1 day', 1)")
    unit = pg_unit("t", cursor="ts", allow_lossy=True)
    unit.run()
    pg.run("UPDATE t SET k = '24:00:00', v = 2, ts = clock_timestamp() WHERE k = '24:00:00'")
    unit.run()
    assert len(unit.sink) == 2


@pytest.mark.services
def test_mariadb_keys_of_two_spellings_need_consent(maria: Maria) -> None:
    maria.run("CREATE TABLE t (k varchar(9) PRIMARY KEY, b varbinary(9) NOT NULL UNIQUE, ts timestamp(6))")
    maria.run("CREATE TABLE f (k double PRIMARY KEY, ts timestamp(6))")
    maria.run("CREATE TABLE p (k varchar(9) COLLATE utf8mb4_bin PRIMARY KEY, ts timestamp(6))")
    for table in ("t", "f", "p"):
        assert_needs_consent(lambda table=table, **policy: maria.unit(table, cursor="ts", **policy))
    maria.run("CREATE TABLE n (k varchar(9) COLLATE utf8mb4_nopad_bin PRIMARY KEY, ts timestamp(6))")
    maria.run("CREATE TABLE c (k char(9) COLLATE utf8mb4_bin PRIMARY KEY, ts timestamp(6))")
    units = [
        maria.unit("n", cursor="ts"),
        maria.unit("c", cursor="ts"),
        maria.unit("t", cursor="ts", primary_key=("b",)),
    ]
    for unit in units:
        unit.strategy.check(unit.spec)


def test_sqlite_keys_of_two_spellings_need_consent(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(
        "CREATE TABLE t (k text COLLATE NOCASE PRIMARY KEY, ts text); CREATE TABLE b (k text PRIMARY KEY, ts text)"
    )
    assert_needs_consent(lambda **policy: lite_unit(path, "t", cursor="ts", **policy))
    unit = lite_unit(path, "b", cursor="ts")
    unit.strategy.check(unit.spec)
