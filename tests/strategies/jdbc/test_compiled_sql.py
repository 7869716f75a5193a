"""Every statement that is sent to Oracle and to SQL Server, compared with a file for review.

`UPDATE_GOLDEN=1 pytest tests/strategies/jdbc/test_compiled_sql.py` writes the files anew. The stand-in parses each statement
in its own dialect; here the dialects' SQL is compared with SQLAlchemy's.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select
from sqlalchemy.dialects import mssql as sa_mssql
from sqlalchemy.dialects import oracle as sa_oracle
from sqlalchemy.engine import Dialect as Compiler

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types import RunMode
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.dialect import Dialect
from ingest_strategies.jdbc.mssql import session as mssql_session
from ingest_strategies.jdbc.mssql.dialect import Mssql
from ingest_strategies.jdbc.oracle import session as oracle_session
from ingest_strategies.jdbc.oracle.dialect import Oracle
from tests.strategies.jdbc.conftest import rehearsal
from tests.strategies.jdbc.standin import mssql as ms
from tests.strategies.jdbc.standin import oracle as ora

GOLDEN = Path(__file__).parent / "golden"
ODD = """o"d'd ü"""


def reviewed(name: str, statements: Iterable[str]) -> None:
    """Compares the statements, each once, with the file; numbers and times of this run are left out."""
    masked = [re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+", "<time>", sql) for sql in statements]
    text = "\n".join(f"{sql};" for sql in dict.fromkeys(masked)) + "\n"
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert text == file.read_text()


def run_every_statement(standin: Any, schema: str, names: Sequence[str]) -> None:
    """Each kind of statement: collecting, probing, planning, reading, looking back, filling in, previewing, a key scan."""
    key, cursor, filtered, composite = names
    strategy, endpoint = strategy_for(standin.endpoint.template), standin.endpoint
    assert strategy.test(endpoint).ok
    dataset = next(d for d in strategy.collect(endpoint) if d.name == f"{schema}.{key}")
    assert strategy.describe(endpoint, dataset) == dataset
    assert strategy.preview(endpoint, dataset, 3).num_rows == 3
    rehearsal(endpoint, f"{schema}.{key}", 10, RunMode.FULL).run()
    table = rehearsal(endpoint, f"{schema}.{cursor}", 10, RunMode.INCREMENTAL, cursor="TS", lookback=90_000)
    table.run()
    table.run()
    with table.strategy.probe(table.spec, table.states) as probe:
        scopes = table.strategy.between(table.spec, probe, table.states, "2026-01-01", "2026-02-01")
        assert len(list(table.strategy.cut(table.spec, probe, scopes[0], scopes[0].target))) == 3
    assert sum(batch.num_rows for batch in strategy.scan_keys(table.spec)) == 30
    mode = RunMode.INCREMENTAL
    rehearsal(
        endpoint, f"{schema}.{filtered}", 10, mode, cursor="N", lag=3, where="1 = 1", cursor_nulls="exclude"
    ).run()
    rehearsal(endpoint, f"{schema}.{composite}", 10, RunMode.FULL, snapshot=False).run()


@pytest.mark.services
def test_b12_every_oracle_statement_is_as_it_was_reviewed(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = ora.OracleStandin(pg)
    monkeypatch.setattr(oracle_session, "connect", oracle.server.connect)
    number = ora.Col("N", "NUMBER", 9, 0)
    fixed = [ora.Col("K", "CHAR", length=6, is_nullable=False), ora.Col("TS", "TIMESTAMP(6)")]
    oracle.declare("KEYED", [ora.Col("ID", "NUMBER", 10, 0, is_nullable=False), ora.Col("D", "DATE")], ["ID"])
    oracle.declare("FOLLOWED", fixed, ["K"])
    oracle.declare(ODD, [ora.Col("K", "NUMBER"), number], unique=["K"])
    oracle.declare("BOTH", [ora.Col("A", "NUMBER", 9, 0), ora.Col("B", "RAW", length=4)], unique=["A", "B"])
    run = oracle.pg.run
    run("""INSERT INTO "SHOP"."KEYED" SELECT i, '2026-01-02' FROM generate_series(1, 30) i""")
    run("""INSERT INTO "SHOP"."FOLLOWED" SELECT 'k' || i, timestamp '2026-01-02' + i * interval '1 s'
        FROM generate_series(1, 30) i""")
    run(f'INSERT INTO "SHOP".{ora.ident(ODD)} SELECT i * 1.5, i FROM generate_series(1, 30) i')
    run(f'INSERT INTO "SHOP".{ora.ident(ODD)} VALUES (NULL, NULL)')
    run(
        """INSERT INTO "SHOP"."BOTH" SELECT i % 2, decode(lpad(to_hex(i), 8, '0'), 'hex') FROM generate_series(1, 30) i"""
    )
    run("DELETE FROM ora.all_indexes WHERE table_name = 'BOTH'")
    run_every_statement(oracle, "SHOP", ["KEYED", "FOLLOWED", ODD, "BOTH"])
    reviewed("oracle.sql", oracle.server.statements)


@pytest.mark.services
def test_b12_every_mssql_statement_is_as_it_was_reviewed(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    mssql = ms.MssqlStandin(pg)
    monkeypatch.setattr(mssql_session, "connect", mssql.server.connect)
    fixed = [ms.Col("K", "varchar", 20, is_nullable=False, collation=ms.CI), ms.Col("TS", "datetime2", scale=6)]
    mssql.declare("KEYED", [ms.Col("ID", "int", is_nullable=False), ms.Col("D", "date")], ["ID"])
    mssql.declare("FOLLOWED", fixed, ["K"])
    mssql.declare(ODD, [ms.Col("K", "uniqueidentifier"), ms.Col("N", "bigint")], unique=["K"])
    mssql.declare("BOTH", [ms.Col("A", "int"), ms.Col("B", "varbinary", 4)], unique=["A", "B"])
    run = mssql.pg.run
    run("INSERT INTO dbo.\"KEYED\" SELECT i, '2026-01-02' FROM generate_series(1, 30) i")
    run("""INSERT INTO dbo."FOLLOWED" SELECT 'k' || i, timestamp '2026-01-02' + i * interval '1 s'
        FROM generate_series(1, 30) i""")
    run(f"INSERT INTO dbo.{ora.ident(ODD)} SELECT md5(i::text)::uuid, i FROM generate_series(1, 30) i")
    run(f"INSERT INTO dbo.{ora.ident(ODD)} VALUES (NULL, NULL)")
    run("""INSERT INTO dbo."BOTH" SELECT i % 2, decode(lpad(to_hex(i), 8, '0'), 'hex') FROM generate_series(1, 30) i""")
    run("UPDATE sys.index_columns SET is_descending_key = 1 WHERE object_id = 4")
    run_every_statement(mssql, "dbo", ["KEYED", "FOLLOWED", ODD, "BOTH"])
    reviewed("mssql.sql", mssql.server.statements)


CASES: list[tuple[Dialect, Callable[[], Compiler]]] = [(Oracle(), sa_oracle.dialect), (Mssql(), sa_mssql.dialect)]
NAMED = Table("t", MetaData(), Column("k", Integer), Column("n", String))


def compiled(statement: Any, compiler: Compiler) -> str:
    text = str(statement.compile(dialect=compiler, compile_kwargs={"literal_binds": True}))
    return " ".join(text.split())


@pytest.mark.parametrize(("dialect", "make"), CASES, ids=["oracle", "mssql"])
def test_paging_is_what_sqlalchemy_compiles(dialect: Dialect, make: Callable[[], Compiler]) -> None:
    statement = select(NAMED.c.k).order_by(NAMED.c.k).offset(20).limit(5)
    ours = dialect.limit_clause(5, 20, "ORDER BY t.k").strip()
    compiler: Any = make()
    compiler._supports_offset_fetch = True  # SQL Server 2012 and newer: what SQLAlchemy detects when it connects
    theirs = compiled(statement, compiler)
    plain = theirs.replace("FETCH FIRST", "FETCH NEXT")
    assert plain.endswith(ours), f"{ours!r} is not the end of {theirs!r}"


@pytest.mark.parametrize(("dialect", "make"), CASES, ids=["oracle", "mssql"])
def test_b17_names_are_quoted_as_sqlalchemy_quotes_them(dialect: Dialect, make: Callable[[], Compiler]) -> None:
    preparer = make().identifier_preparer
    for name in ("plain", "order", 'a"b', "x y", "Größe", "a.b", "'"):
        ours, theirs = dialect.quote(name), preparer.quote_identifier(name)
        assert ours == (theirs if theirs[0] == '"' else '"' + theirs[1:-1].replace("]]", "]").replace('"', '""') + '"')


@pytest.mark.parametrize(("dialect", "make"), CASES, ids=["oracle", "mssql"])
def test_remainders_and_ranks_are_what_sqlalchemy_compiles(dialect: Dialect, make: Callable[[], Compiler]) -> None:
    theirs = compiled(select(NAMED.c.k % 7), make())
    assert theirs.lower() == f"select {dialect.remainder('t.k', 7).lower()} as anon_1 from t"
    rank = compiled(select(func.row_number().over(order_by=NAMED.c.k).label("place")), make())
    assert rank == "SELECT row_number() OVER (ORDER BY t.k) AS place FROM t"


def test_oracle_takes_scalars_from_dual_as_sqlalchemy_does() -> None:
    assert compiled(select(func.foo(1)), sa_oracle.dialect()) == f"{Oracle().select_value('foo(1) AS foo_1')}".replace(
        "dual", "DUAL"
    )
