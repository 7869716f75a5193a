"""SQL Server, without a server: its own statements, run on a stand-in, give every row once."""

from collections.abc import Callable
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import ConfigError, SourceChanged
from ingest_ray.sdk.types import RunMode
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.strategy import KnownUnit, StrategySuite
from ingest_strategies.jdbc.mssql import session
from tests.strategies.jdbc.conftest import rehearsal
from tests.strategies.jdbc.standin.mssql import CI, Col, MssqlStandin

pytestmark = pytest.mark.services

ID = Col("id", "int", is_nullable=False)
ROWS: list[dict[str, Any]] = [{"id": i, "name": f"n{i}", "score": i / 4} for i in range(1, 101)]
Unit = Callable[..., Rehearsal]


@pytest.fixture
def mssql(module_pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> MssqlStandin:
    standin = MssqlStandin(module_pg)
    monkeypatch.setattr(session, "connect", standin.server.connect)
    return standin


@pytest.fixture
def unit(mssql: MssqlStandin) -> Unit:
    def make(name: str, rows_per_slice: int = 10, **policy: Any) -> Rehearsal:
        mode = RunMode.INCREMENTAL if policy.get("cursor") else RunMode.FULL
        return rehearsal(mssql.endpoint, f"dbo.{name}", rows_per_slice, mode, **policy)

    return make


class TestMssql(StrategySuite):
    @pytest.fixture
    def known(self, mssql: MssqlStandin) -> KnownUnit:
        mssql.declare("t", [ID, Col("name", "nvarchar", 40, collation=CI), Col("score", "float")], ["id"])
        mssql.pg.run("INSERT INTO dbo.t SELECT i, 'n' || i, i / 4.0 FROM generate_series(1, 100) i")
        return KnownUnit(strategy_for("jdbc.mssql"), mssql.endpoint, "dbo.t", ROWS, secrets=["sekret-sekret"])


KEYS = {
    "decimal": (Col("k", "decimal", precision=20, scale=3), "(i * 1000003 % 997) / 8.0"),
    "money": (Col("k", "money"), "i / 100.0"),
    "sparse": (Col("k", "bigint"), "i::bigint * i * i * 1000"),
    "unicode text": (Col("k", "nvarchar", 40, collation=CI), "'K' || i || '''ü\\'"),
    "text of a code page": (Col("k", "varchar", 40, collation=CI), "'k' || i"),
    "uuid": (Col("k", "uniqueidentifier"), "md5(i::text)::uuid"),
    "datetime2": (Col("k", "datetime2", scale=6), "timestamp '2026-01-01' + i * interval '1 microsecond'"),
    "date": (Col("k", "date"), "date '2026-01-01' + i"),
    "binary": (Col("k", "varbinary", 8), "decode(lpad(to_hex(i), 8, '0'), 'hex')"),
    "float": (Col("k", "float"), "i / 3.0"),
}


@pytest.mark.parametrize("case", KEYS)
def test_b9_every_mssql_row_is_in_one_slice(mssql: MssqlStandin, unit: Unit, case: str) -> None:
    column, expression = KEYS[case]
    mssql.declare("t", [column, Col("n", "int")], unique=["k"])
    mssql.pg.run(f"INSERT INTO dbo.t SELECT {expression}, i FROM generate_series(1, 90) i")
    mssql.pg.run("INSERT INTO dbo.t VALUES (NULL, 91)")
    outcome = unit("t").run()
    assert sorted(row["n"] for row in outcome.rows) == list(range(1, 92))
    assert len(outcome.slices) > 5


def test_b12_uuid_keys_are_cut_and_compared_by_the_server_alone(mssql: MssqlStandin, unit: Unit) -> None:
    """SQL Server orders a uniqueidentifier by its last bytes first: an order of its own."""
    mssql.pg.run(
        "CREATE OR REPLACE FUNCTION ms.reversed(uuid) RETURNS text LANGUAGE sql IMMUTABLE AS"
        " $$SELECT reverse(replace($1::text, '-', ''))$$"
    )
    mssql.declare("t", [Col("k", "uniqueidentifier", is_nullable=False), Col("n", "int")], ["k"])
    mssql.pg.run("INSERT INTO dbo.t SELECT md5(i::text)::uuid, i FROM generate_series(1, 90) i")
    translate = mssql.server.translate

    def in_its_order(sql: str) -> Any:
        answer = translate(sql)
        if not isinstance(answer, str) or '"t"."k"' not in answer:
            return answer
        answer = answer.replace('ORDER BY "t"."k"', 'ORDER BY ms.reversed("t"."k")')
        for sign in (">=", ">", "<"):
            head, *rest = answer.split(f'"t"."k" {sign} ')
            for part in rest:
                bound, _, tail = part.partition("AS UUID)")
                head += f'ms.reversed("t"."k") {sign} ms.reversed({bound}AS UUID)){tail}'
            answer = head
        return answer

    mssql.server.translate = in_its_order
    outcome = unit("t").run()
    assert sorted(row["n"] for row in outcome.rows) == list(range(1, 91))
    bounds = [str(piece.interval.lower[0]) for piece in outcome.slices if piece.interval.lower]
    assert len(bounds) > 5
    assert bounds != sorted(bounds), "the cuts follow the server's order, not that of text"


def test_b9_composite_mssql_keys_are_cut(mssql: MssqlStandin, unit: Unit) -> None:
    columns = [Col("a", "int", is_nullable=False), Col("b", "varchar", 9, is_nullable=False, collation=CI)]
    mssql.declare("t", columns, ["a", "b"])
    mssql.pg.run("INSERT INTO dbo.t SELECT i % 3, 'b' || i FROM generate_series(1, 90) i")
    outcome = unit("t").run()
    assert len({(row["a"], row["b"]) for row in outcome.rows}) == len(outcome.rows) == 90
    mssql.pg.run("UPDATE sys.index_columns SET is_descending_key = 1")
    again = unit("t").run()
    assert len(again.rows) == 90
    assert any("row_number() OVER" in sql for sql in mssql.server.statements)


def test_b17_b18_odd_names_of_mssql_tables_keys_and_columns(mssql: MssqlStandin, unit: Unit) -> None:
    odd = 'x"]; DROP TABLE t --'
    mssql.declare("Ünï'codé", [Col(odd, "nvarchar", 60, collation=CI), Col("order", "int")], unique=[odd])
    mssql.pg.run("""INSERT INTO dbo."Ünï'codé" SELECT ''' OR 1=1 -- ' || i, i FROM generate_series(1, 60) i""")
    outcome = unit("Ünï'codé").run()
    assert sorted(row["order"] for row in outcome.rows) == list(range(1, 61))


def incremental(mssql: MssqlStandin, kind: str = "datetime2") -> None:
    mssql.declare("t", [ID, Col("ts", kind, scale=6)], ["id"])
    mssql.pg.run(
        "INSERT INTO dbo.t SELECT i, now() - interval '3 day' + i * interval '1 s' FROM generate_series(1, 50) i"
    )


@pytest.mark.parametrize("kind", ["datetime", "datetime2", "date", "datetimeoffset"])
def test_c29_an_mssql_load_then_changes_have_neither_gap_nor_double(mssql: MssqlStandin, unit: Unit, kind: str) -> None:
    incremental(mssql, kind)
    table = unit("t", cursor="ts", lookback=3600, allow_lossy=True)
    assert len(table.run().rows) == 50
    mssql.pg.run("INSERT INTO dbo.t VALUES (51, now() - interval '30 minutes'), (52, now())")
    table.run()
    assert len(table.sink) == 52


def test_c21_a_rowversion_has_an_exact_horizon(mssql: MssqlStandin, unit: Unit) -> None:
    mssql.declare("t", [ID, Col("v", "timestamp", 8)], ["id"])
    mssql.pg.run("INSERT INTO dbo.t SELECT i, i FROM generate_series(1, 50) i")
    mssql.pg.run("UPDATE ms.active SET lowest = 41")  # the transaction that has number 41 is still open
    table = unit("t", cursor="v")
    table.run()
    assert table.states["all"].watermark == (41,)
    mssql.pg.run("INSERT INTO dbo.t VALUES (90, 41)")  # it commits below rows that were seen before
    mssql.pg.run("UPDATE ms.active SET lowest = 61")
    second = table.run()
    assert 90 in {row["id"] for row in second.rows}
    assert table.states["all"].watermark == (61,)
    assert len(table.sink) == 51
    assert any("CAST(CAST(41 AS bigint) AS binary(8))" in sql for sql in mssql.server.statements)


def test_c21_a_copy_of_a_database_has_no_horizon_of_rowversions(mssql: MssqlStandin, unit: Unit) -> None:
    mssql.declare("t", [ID, Col("v", "timestamp", 8)], ["id"])
    translate = mssql.server.translate

    def of_a_copy(sql: str) -> Any:
        return [(41, "READ_ONLY")] if "MIN_ACTIVE_ROWVERSION" in sql else translate(sql)

    mssql.server.translate = of_a_copy
    with pytest.raises(ConfigError, match="a read-only copy"):
        unit("t", cursor="v").run()


def test_c21_the_mssql_horizon_is_a_declared_lag_and_below_open_transactions(mssql: MssqlStandin, unit: Unit) -> None:
    incremental(mssql)
    mssql.oldest = 7200
    probe = unit("t", cursor="ts").run().probe
    assert probe is not None
    assert probe.horizon is not None
    assert probe.horizon.method == "an hour before the start of the oldest open transaction"
    mssql.oldest = False
    probe = unit("t", cursor="ts").run().probe
    assert probe is not None
    assert probe.horizon is not None
    assert probe.horizon.method == "server clock minus a declared lag of 3900 s"
    assert "VIEW SERVER STATE" in str(probe.horizon.note)


def test_a_database_without_row_versions_is_refused_or_locked(mssql: MssqlStandin, unit: Unit) -> None:
    incremental(mssql)
    table = unit("t")
    mssql.pg.run("UPDATE sys.databases SET snapshot_isolation_state = 0")
    with pytest.raises(ConfigError, match="keeps no row versions"):
        table.run()
    mssql.pg.run("UPDATE sys.databases SET is_read_committed_snapshot_on = 1")
    assert len(table.run().rows) == 50
    assert "SET TRANSACTION ISOLATION LEVEL READ COMMITTED" in mssql.server.statements
    locked = mssql.endpoint.model_copy(update={"config": {**mssql.endpoint.config, "isolation": "serializable"}})
    assert len(rehearsal(locked, "dbo.t", 10, RunMode.FULL).run().rows) == 50
    assert "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE" in mssql.server.statements


def test_b11_an_mssql_cursor_of_text_is_compared_by_code_points(mssql: MssqlStandin, unit: Unit) -> None:
    mssql.declare("t", [ID, Col("c", "varchar", 20, collation=CI)], ["id"])
    mssql.pg.run(
        "INSERT INTO dbo.t SELECT i, '2026-01-01T00:00:' || lpad(i::text, 2, '0') FROM generate_series(1, 50) i"
    )
    table = unit("t", cursor="c", lag=10)
    table.run()
    assert table.states["all"].watermark == ("2026-01-01T00:00:40",)
    mssql.pg.run("INSERT INTO dbo.t VALUES (51, '2026-01-01T00:00:45'), (52, '2026-01-01T00:01:00')")
    table.run()
    assert len(table.sink) == 52
    compared = 'CAST("t"."c" AS nvarchar(4000)) COLLATE Latin1_General_BIN2 >= N\'2026-01-01T00:00:40\''
    assert any(compared in sql for sql in mssql.server.statements)


def test_c68_an_mssql_table_that_changed_between_plan_and_read(mssql: MssqlStandin, unit: Unit) -> None:
    incremental(mssql)
    table = unit("t")
    mssql.pg.run("UPDATE sys.columns SET scale = 3 WHERE name = 'ts'")
    with pytest.raises(SourceChanged, match=r"column 'ts' was 'datetime2\(6\)' and is 'datetime2\(3\)'"):
        table.run()
    mssql.pg.run("DELETE FROM sys.columns")
    with pytest.raises(SourceChanged, match="the table is gone"):
        table.run()


def test_h66_mssql_values_arrive_exactly_and_spatial_types_are_refused(mssql: MssqlStandin, unit: Unit) -> None:
    columns = [
        ID, Col("m", "money"), Col("d", "decimal", precision=12, scale=2), Col("u", "uniqueidentifier"), Col("b", "bit"),
        Col("ts", "datetime2", scale=6), Col("x", "varbinary", 4), Col("g", "geometry"), Col("h", "hierarchyid"),
    ]  # fmt: skip
    mssql.declare("t", columns, ["id"])
    mssql.pg.run(
        "INSERT INTO dbo.t VALUES (1, 922337203685477.5807, 12.50, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 1,"
        " '2026-02-03 04:05:06.000007', '\\x00ff', 'x', 'y')"
    )
    (row,) = unit("t").run().rows
    assert [str(row[name]) for name in ("m", "d", "ts")] == [
        "922337203685477.5807",
        "12.50",
        "2026-02-03 04:05:06.000007",
    ]
    assert (row["u"], row["b"], row["x"]) == ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", True, b"\x00\xff")
    assert set(row) == {"id", "m", "d", "u", "b", "ts", "x"}
