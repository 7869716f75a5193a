"""Oracle, without a server: its own statements, run on a stand-in, give every row once."""

from collections.abc import Callable
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported, SourceChanged, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import RunMode
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.strategy import KnownUnit, StrategySuite
from ingest_strategies.jdbc.oracle import session
from tests.strategies.jdbc.conftest import rehearsal
from tests.strategies.jdbc.standin.oracle import Col, OracleStandin

pytestmark = pytest.mark.services

ID = Col("ID", "NUMBER", 10, 0, is_nullable=False)
ROWS: list[dict[str, Any]] = [{"ID": i, "NAME": f"n{i}", "SCORE": i / 4} for i in range(1, 101)]
Unit = Callable[..., Rehearsal]


@pytest.fixture
def oracle(module_pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> OracleStandin:
    standin = OracleStandin(module_pg)
    monkeypatch.setattr(session, "connect", standin.server.connect)
    return standin


@pytest.fixture
def unit(oracle: OracleStandin) -> Unit:
    def make(name: str, rows_per_slice: int = 10, **policy: Any) -> Rehearsal:
        mode = RunMode.INCREMENTAL if policy.get("cursor") else RunMode.FULL
        return rehearsal(oracle.endpoint, f"SHOP.{name}", rows_per_slice, mode, **policy)

    return make


class TestOracle(StrategySuite):
    @pytest.fixture
    def known(self, oracle: OracleStandin) -> KnownUnit:
        oracle.declare("T", [ID, Col("NAME", "VARCHAR2", length=20), Col("SCORE", "BINARY_DOUBLE")], ["ID"])
        oracle.pg.run("""INSERT INTO "SHOP"."T" SELECT i, 'n' || i, i / 4.0 FROM generate_series(1, 100) i""")
        strategy = strategy_for("jdbc.oracle")
        return KnownUnit(strategy, oracle.endpoint, "SHOP.T", ROWS, secrets=["sekret-sekret"])


KEYS = {
    "number without precision": (Col("K", "NUMBER"), "(i * 1000003 % 997) / 8.0"),
    "integers of 38 digits": (Col("K", "NUMBER", 38, 0), "i::numeric * 10 ^ 30"),
    "sparse": (Col("K", "NUMBER", 18, 0), "i::bigint * i * i * 1000"),
    "text": (Col("K", "VARCHAR2", length=20), "'k' || i || '''ü\\'"),
    "date with time": (Col("K", "DATE"), "timestamp '2026-01-01' + i * interval '7 minutes'"),
    "timestamp": (Col("K", "TIMESTAMP(6)"), "timestamp '2026-01-01' + i * interval '1 microsecond'"),
    "local time": (Col("K", "TIMESTAMP(6) WITH LOCAL TIME ZONE"), "timestamptz '2026-01-01' + i * interval '1 day'"),
    "raw": (Col("K", "RAW", length=8), "decode(lpad(to_hex(i), 8, '0'), 'hex')"),
    "double": (Col("K", "BINARY_DOUBLE"), "i / 3.0"),
}


@pytest.mark.parametrize("case", KEYS)
def test_b9_every_oracle_row_is_in_one_slice(oracle: OracleStandin, unit: Unit, case: str) -> None:
    column, expression = KEYS[case]
    oracle.declare("T", [column, Col("N", "NUMBER", 9, 0)], unique=["K"])
    oracle.pg.run(f'INSERT INTO "SHOP"."T" SELECT {expression}, i FROM generate_series(1, 90) i')
    oracle.pg.run('INSERT INTO "SHOP"."T" VALUES (NULL, 91), (NULL, 92)')
    outcome = unit("T").run()
    assert sorted(row["N"] for row in outcome.rows) == list(range(1, 93))
    assert len(outcome.slices) > 5


def test_b12_char_keys_are_compared_with_their_padding(oracle: OracleStandin, unit: Unit) -> None:
    oracle.declare("T", [Col("K", "CHAR", length=6, is_nullable=False), Col("N", "NUMBER", 9, 0)], ["K"])
    oracle.pg.run("""INSERT INTO "SHOP"."T" SELECT 'k' || i, i FROM generate_series(1, 90) i""")
    outcome = unit("T").run()
    assert sorted(row["N"] for row in outcome.rows) == list(range(1, 91))
    bounds = [piece.interval.lower[0] for piece in outcome.slices if piece.interval.lower]
    assert bounds
    assert all(len(str(bound)) == 6 for bound in bounds), "the padding is a part of a position"
    assert all(len(row["K"]) == 6 for row in outcome.rows)


def test_b9_composite_oracle_keys_without_an_index_are_cut_in_one_pass(oracle: OracleStandin, unit: Unit) -> None:
    columns = [Col("A", "NUMBER", 9, 0, is_nullable=False), Col("B", "VARCHAR2", length=9, is_nullable=False)]
    oracle.declare("T", columns, ["A", "B"])
    oracle.pg.run("""INSERT INTO "SHOP"."T" SELECT i % 3, 'b' || i FROM generate_series(1, 90) i""")
    oracle.pg.run("DELETE FROM ora.all_indexes")
    outcome = unit("T").run()
    assert len({(row["A"], row["B"]) for row in outcome.rows}) == len(outcome.rows) == 90
    assert any("row_number() OVER" in sql for sql in oracle.server.statements)
    assert len(outcome.slices) > 5


def test_b17_b18_odd_names_of_oracle_tables_keys_and_columns(oracle: OracleStandin, unit: Unit) -> None:
    odd = 'x" OR 1=1 --'
    oracle.declare("Ünï'codé", [Col(odd, "VARCHAR2", length=30), Col("order", "NUMBER", 9, 0)], unique=[odd])
    oracle.pg.run("""INSERT INTO "SHOP"."Ünï'codé" SELECT ''' OR 1=1 -- ' || i, i FROM generate_series(1, 60) i""")
    outcome = unit("Ünï'codé").run()
    assert sorted(row["order"] for row in outcome.rows) == list(range(1, 61))


def incremental(oracle: OracleStandin, kind: str = "TIMESTAMP(6)") -> None:
    oracle.declare("T", [ID, Col("TS", kind)], ["ID"])
    oracle.pg.run("""INSERT INTO "SHOP"."T" SELECT i, now() - interval '3 day' + i * interval '1 s'
        FROM generate_series(1, 50) i""")


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP(6)", "TIMESTAMP(6) WITH LOCAL TIME ZONE"])
def test_c29_an_oracle_load_then_changes_have_neither_gap_nor_double(
    oracle: OracleStandin, unit: Unit, kind: str
) -> None:
    incremental(oracle, kind)
    table = unit("T", cursor="TS", lookback=3600)
    assert len(table.run().rows) == 50
    oracle.pg.run("""INSERT INTO "SHOP"."T" VALUES (51, now() - interval '30 minutes'), (52, now())""")
    table.run()
    assert len(table.sink) == 52


def test_c21_the_horizon_is_a_declared_lag_and_below_open_transactions(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    probe = unit("T", cursor="TS").run().probe
    assert probe is not None
    assert probe.horizon is not None
    assert probe.horizon.method == "server clock minus a declared lag of 3900 s"
    free = str(probe.horizon.value[0])
    oracle.oldest = 7200
    held = unit("T", cursor="TS").run().probe
    assert held is not None
    assert held.horizon is not None
    assert held.horizon.method == "an hour before the start of the oldest open transaction"
    assert str(held.horizon.value[0]) < free


def test_an_oracle_user_who_cannot_see_transactions_gets_the_grant_as_a_note(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    oracle.oldest = False
    probe = unit("T", cursor="TS").run().probe
    assert probe is not None
    assert probe.horizon is not None
    assert "GV_$TRANSACTION" in str(probe.horizon.note)


def test_an_oracle_counter_needs_a_declared_lag(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    with pytest.raises(ConfigError, match="counter 'ID' has no safe horizon"):
        unit("T", cursor="ID").run()
    table = unit("T", cursor="ID", lag=5, primary_key=("ID",))
    table.run()
    assert table.states["all"].watermark == (45,)
    oracle.pg.run('INSERT INTO "SHOP"."T" VALUES (60, NULL), (61, NULL)')
    table.run()
    assert table.states["all"].watermark == (56,)
    assert len(table.sink) == 52


def test_oracle_slices_see_one_change_number_where_the_user_may(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    table = unit("T")
    late = """INSERT INTO "SHOP"."T" SELECT 1000 + count(*), now() FROM "SHOP"."T" """
    outcome = table.run(between=lambda _: oracle.pg.run(late) and None)
    assert len(outcome.rows) == 50
    assert {piece.snapshot for piece in outcome.slices} == {"1000"}


def test_an_oracle_user_without_flashback_reads_slice_by_slice(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    oracle.may_flash_back = False
    outcome = unit("T").run()
    assert len(outcome.rows) == 50
    assert {piece.snapshot for piece in outcome.slices} == {None}
    assert outcome.probe is not None
    assert str(outcome.probe.facts["snapshot"]).startswith("no:")


def test_an_oracle_snapshot_that_is_no_number_is_not_sent(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    table = unit("T")
    piece = table.run().slices[0]
    with pytest.raises(SourceUnavailable, match="not a change number"):
        list(table.read(piece.model_copy(update={"snapshot": "1); DROP TABLE T; --"})))


def test_c68_an_oracle_table_that_changed_between_plan_and_read(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    table = unit("T")
    oracle.pg.run("UPDATE ora.all_tab_cols SET data_type = 'VARCHAR2', char_length = 9 WHERE column_name = 'TS'")
    with pytest.raises(SourceChanged, match=r"column 'TS' was 'TIMESTAMP\(6\)' and is 'VARCHAR2\(9\)'"):
        table.run()
    oracle.pg.run("DELETE FROM ora.all_tab_cols")
    with pytest.raises(SourceChanged, match="the table is gone"):
        table.run()


def test_an_oracle_table_without_a_grant_is_denied(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle)
    table = unit("T")
    oracle.pg.run('DROP TABLE "SHOP"."T"')
    with pytest.raises((SourceChanged, SourceDenied), match="ORA-00942"):
        table.run()


def test_h66_oracle_values_arrive_exactly(oracle: OracleStandin, unit: Unit) -> None:
    columns = [
        ID, Col("ANY", "NUMBER"), Col("FIXED", "NUMBER", 12, 2), Col("D", "DATE"), Col("TS", "TIMESTAMP(6)"),
        Col("B", "RAW", length=4), Col("C", "CLOB"), Col("F", "BINARY_DOUBLE"),
    ]  # fmt: skip
    oracle.declare("T", columns, ["ID"])
    oracle.pg.run(
        """INSERT INTO "SHOP"."T" VALUES (1, 12345678901234567890.000000000000000001, 12.50, '2026-02-03 04:05:06',
        '2026-02-03 04:05:06.000007', '\\x00ff', repeat('ü', 5000), 0.1), (2, NULL, NULL, NULL, NULL, NULL, NULL, 'NaN')"""
    )
    rows = {row["ID"]: row for row in unit("T").run().rows}
    first = rows[1]
    assert first["ANY"] == "12345678901234567890.000000000000000001"
    assert (str(first["FIXED"]), str(first["D"])) == ("12.50", "2026-02-03 04:05:06")
    assert str(first["TS"]) == "2026-02-03 04:05:06.000007"
    assert (first["B"], first["C"], first["F"]) == (b"\x00\xff", "ü" * 5000, 0.1)
    assert rows[2]["ANY"] is None
    assert rows[2]["F"] != rows[2]["F"]


def test_h66_h70_an_oracle_date_before_christ_is_in_quarantine(oracle: OracleStandin, unit: Unit) -> None:
    incremental(oracle, "DATE")
    oracle.pg.run("""INSERT INTO "SHOP"."T" VALUES (99, '0044-03-15 BC')""")
    outcome = unit("T").run()
    assert len(outcome.rows) == 50
    assert [reject.raw for reject in outcome.rejects] == [{"ID": "99", "TS": "-0044-03-15T00:00:00"}]


def test_h66_oracle_object_types_are_refused_and_only_they(oracle: OracleStandin, unit: Unit) -> None:
    oracle.declare("T", [ID, Col("G", "SDO_GEOMETRY", owner="MDSYS")], ["ID"])
    oracle.pg.run("""INSERT INTO "SHOP"."T" VALUES (1, 'x')""")
    assert unit("T").run().rows == [{"ID": 1}]


def test_an_oracle_column_with_a_collation_of_its_own_is_no_cursor(oracle: OracleStandin, unit: Unit) -> None:
    oracle.declare("T", [ID, Col("NAME", "VARCHAR2", length=9, collation="BINARY_CI")], ["ID"])
    with pytest.raises(ModeUnsupported, match="'NAME'"):
        unit("T", cursor="NAME").run()
