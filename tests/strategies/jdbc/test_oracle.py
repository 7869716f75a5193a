"""Oracle, without a server: the behaviour suite over its own statements, run on a stand-in."""

from collections.abc import Iterator
from typing import Any

import pytest

from ingest_ray.models import RunMode
from ingest_ray.registry import strategy_for
from ingest_ray.testing.servers import Postgres
from ingest_ray.testing.strategy_suite import KnownUnit, StrategySuite
from strategies.jdbc import oracle_session
from tests.strategies.jdbc.conftest import rehearsal
from tests.strategies.jdbc.standin.oracle import Col, OracleStandin

pytestmark = pytest.mark.services

ID = Col("ID", "NUMBER", 10, 0, is_nullable=False)
ROWS: list[dict[str, Any]] = [{"ID": i, "NAME": f"n{i}", "SCORE": i / 4} for i in range(1, 101)]


@pytest.fixture
def oracle(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[OracleStandin]:
    standin = OracleStandin(pg)
    monkeypatch.setattr(oracle_session, "connect", standin.door.connect)
    yield standin


def known_unit(oracle: OracleStandin, name: str, rows: list[dict[str, Any]], least: int = 2) -> KnownUnit:
    strategy = strategy_for("jdbc.oracle")
    return KnownUnit(strategy, oracle.endpoint, f"SHOP.{name}", rows, secrets=["sekret-sekret"], least_slices=least)


class TestOracleTable(StrategySuite):
    @pytest.fixture
    def known(self, oracle: OracleStandin) -> KnownUnit:
        oracle.declare("T", [ID, Col("NAME", "VARCHAR2", length=20), Col("SCORE", "BINARY_DOUBLE")], ["ID"])
        oracle.pg.run("""INSERT INTO "SHOP"."T" SELECT i, 'n' || i, i / 4.0 FROM generate_series(1, 100) i""")
        return known_unit(oracle, "T", ROWS)


class TestOracleNullableTextKeyOfAnOddName(StrategySuite):
    @pytest.fixture
    def known(self, oracle: OracleStandin) -> KnownUnit:
        rows = [{'the "Key"': f"c{i:03d}"} for i in range(97)] + [{'the "Key"': None}] * 5
        oracle.declare("Ümlaut's table", [Col('the "Key"', "VARCHAR2", length=20)], unique=['the "Key"'])
        values = ", ".join("(NULL)" if i >= 97 else f"('c{i:03d}')" for i in range(102))
        oracle.pg.run(f'INSERT INTO "SHOP"."Ümlaut\'s table" VALUES {values}')
        return known_unit(oracle, "Ümlaut's table", rows)
