"""A replica of MariaDB: no horizon lies above what it has applied. A stopped replica is no primary."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.mariadb import MariaDatabase, fresh_database, running_server
from ingest_strategies.jdbc.mysql.row_origin import read_row_origin
from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services

LAG_S = 1


class Pair:
    """A primary, the session's server or another, and its replica."""

    def __init__(self, primary: Maria, replica: Maria) -> None:
        self.primary, self.replica = primary, replica

    def wait(self) -> None:
        position = self.primary.run("SELECT @@gtid_binlog_pos")[0][0]
        assert self.replica.run(f"SELECT master_gtid_wait('{position}', 30)")[0][0] == 0


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with (
        running_server("--server-id=1", "--log-bin=log") as first,
        running_server("--server-id=2", "--log-bin=log", "--log-slave-updates") as second,
    ):
        with second.connect() as session, session.cursor() as cursor:
            cursor.execute("SET GLOBAL gtid_slave_pos = '0-1-0'")
        with first.connect() as session, session.cursor() as cursor:
            cursor.execute("RESET MASTER")
            cursor.execute("CREATE USER copy@'%' IDENTIFIED BY 'copy'")
            cursor.execute("GRANT ALL ON *.* TO copy@'%'")
        with second.connect() as session, session.cursor() as cursor:
            cursor.execute(
                f"CHANGE MASTER TO master_host = '127.0.0.1', master_port = {first.port}, master_user = 'copy',"
                " master_password = 'copy', master_use_gtid = slave_pos"
            )
            cursor.execute("START SLAVE")
        database = fresh_database(first)
        primary = Maria(database)
        deadline = time.monotonic() + 120
        while True:
            with second.connect() as session, session.cursor() as cursor:
                if cursor.execute(f"SHOW DATABASES LIKE '{database.name}'"):
                    break
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.05)
        replica = Maria(MariaDatabase(second, database.name), is_replica=True)
        yield Pair(primary, replica)
        primary.close()
        replica.close()


@pytest.fixture
def table(pair: Pair) -> Iterator[Pair]:
    pair.primary.run("DROP TABLE IF EXISTS t")
    pair.primary.run("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, ts timestamp(6) NOT NULL DEFAULT now(6))")
    pair.primary.run("INSERT INTO t (id) SELECT seq FROM seq_1_to_20")
    pair.wait()
    yield pair
    pair.replica.run("START SLAVE")


def horizon_of(unit: Rehearsal) -> Any:
    assert unit.outcome.probe is not None
    return unit.outcome.probe.horizon


@pytest.mark.parametrize("thread", ["", "SQL_THREAD", "IO_THREAD"])
def test_a_replica_that_was_stopped_loses_no_row(thread: str, table: Pair) -> None:
    unit = table.replica.unit("t", cursor="ts", write="append", lag=LAG_S)
    unit.run()
    running = horizon_of(unit)
    table.replica.run(f"STOP SLAVE {thread}")
    table.primary.run("INSERT INTO t (id) VALUES (21)")
    time.sleep(LAG_S + 0.3)
    unit.run()
    stopped = horizon_of(unit)
    table.replica.run("START SLAVE")
    table.wait()
    time.sleep(LAG_S + 1.3)
    unit.run()
    unit.run()
    assert sorted(row["id"] for row in unit.appended) == list(range(1, 22))
    assert running.method == f"clock of the rows that the replica has replayed, minus a lag of {LAG_S} s"
    assert stopped.method == "held at the watermark: a replica that does not say how far it has replayed"
    assert "does not run" in stopped.note


def test_a_counter_of_a_stopped_replica_needs_a_lag(table: Pair) -> None:
    table.replica.run("STOP SLAVE")
    with pytest.raises(ConfigError, match="no safe horizon"):
        table.replica.unit("t", cursor="id").run()


def test_a_user_who_may_not_see_the_replication_still_finds_its_signs(table: Pair) -> None:
    table.replica.run("STOP SLAVE")
    table.replica.run("CREATE USER IF NOT EXISTS blind@localhost")
    table.replica.run("GRANT SELECT, PROCESS ON *.* TO blind@localhost")
    unit = table.replica.unit("t", user="blind", cursor="ts", lag=LAG_S)
    unit.run()
    assert horizon_of(unit).method.startswith("held at the watermark: a replica")
    assert "GRANT SLAVE MONITOR" in horizon_of(unit).note


class Scripted:
    """A session of a server that this machine does not have."""

    def __init__(self, variables: dict[str, str], status: dict[str, str]) -> None:
        self._variables, self._status = variables, status

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return list((self._variables if "VARIABLES" in sql else self._status).items())

    def named_rows(self, sql: str) -> list[dict[str, str | None]]:
        return []


@pytest.mark.parametrize(
    ("variables", "status", "role", "behind_s"),
    [
        ({"wsrep_on": "ON"}, {"wsrep_ready": "ON"}, "Galera node", 0),
        ({"wsrep_on": "ON"}, {"wsrep_ready": "OFF"}, "Galera node", None),
        ({"group_replication_group_name": "a-b"}, {}, "node of group replication", 0),
        ({"wsrep_on": "OFF", "read_only": "ON"}, {}, "", None),
    ],
)
def test_nodes_of_a_cluster_are_recognised(
    variables: dict[str, str], status: dict[str, str], role: str, behind_s: int | None
) -> None:
    session: Any = Scripted(variables, status)
    origin = read_row_origin(session)
    assert (origin.name, origin.behind_s) == (role, behind_s)
