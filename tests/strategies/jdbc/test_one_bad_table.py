"""Oracle and SQL Server: an object that fails the catalog query of all tables is named, and the others are collected."""

from collections.abc import Callable
from typing import Any

import oracledb
import pytest
from pytds.tds_base import ProgrammingError

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types.dataset import FAULT
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.mssql import session as mssql_session
from ingest_strategies.jdbc.oracle import session as oracle_session
from tests.strategies.jdbc.standin import mssql, oracle

pytestmark = pytest.mark.services


def failing(translate: Callable[[str], Any], catalog: str, is_bad: Callable[[str], bool], error: Exception) -> Any:
    """The catalog query that reads indexes fails where it has the bad table in it."""

    def translated(sql: str) -> Any:
        if catalog in sql and is_bad(sql):
            raise error
        return translate(sql)

    return translated


def test_one_bad_table_of_oracle(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    standin = oracle.OracleStandin(pg)
    monkeypatch.setattr(oracle_session, "connect", standin.server.connect)
    for name in ("GOOD", "BAD", "O'K"):
        standin.declare(name, [oracle.Col("ID", "NUMBER", 10, 0, is_nullable=False)], ["ID"])
    error = oracledb.DatabaseError("ORA-00600: internal error code")
    standin.server.translate = failing(
        standin.server.translate,
        "all_ind_columns",
        lambda sql: "table_name = 'GOOD'" not in sql and "K'" not in sql,
        error,
    )
    check("jdbc.oracle", standin.endpoint, {"SHOP.GOOD", "SHOP.O'K"}, "SHOP.BAD", "ORA-00600")


def test_one_bad_table_of_sql_server(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    standin = mssql.MssqlStandin(pg)
    monkeypatch.setattr(mssql_session, "connect", standin.server.connect)
    for name in ("good", "bad", "o'k"):
        standin.declare(name, [mssql.Col("id", "int", is_nullable=False)], ["id"])
    error = ProgrammingError("could not find the type of a column")
    standin.server.translate = failing(
        standin.server.translate, "sys.index_columns", lambda sql: "N'good'" not in sql and "k'" not in sql, error
    )
    check("jdbc.mssql", standin.endpoint, {"dbo.good", "dbo.o'k"}, "dbo.bad", "could not find")


def check(template: str, endpoint: Any, good: set[str], bad: str, reason: str) -> None:
    found = {dataset.name: dataset for dataset in strategy_for(template).collect(endpoint)}
    assert set(found) == {*good, bad}
    assert reason in str(found[bad].facts[FAULT])
    assert found[bad].columns == ()
    for name in good:
        assert len(found[name].primary_key) == 1
