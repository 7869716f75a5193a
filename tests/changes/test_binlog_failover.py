"""A unit whose server is replaced by its replica goes on by GTIDs, or is told that the replica lacks transactions."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_ray.run import launch
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Axis, Effect, Slice
from ingest_ray.testing.servers.mariadb import MariaDatabase, MariaServer, running_server
from ingest_strategies.jdbc.mysql.changes.first_load import PositionedDialect
from ingest_strategies.jdbc.mysql.changes.intervals import read_log_table, transactions_between
from ingest_strategies.jdbc.mysql.changes.server import read_server, read_visible_end
from ingest_strategies.jdbc.mysql.dialect import Mysql
from tests.changes.binlog_world import LOG_OPTIONS, binlog_world, write
from tests.changes.log_world import assert_equal
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.faults


@pytest.fixture
def replica(maria_log_server: MariaServer) -> Iterator[MariaServer]:
    options = [option for option in LOG_OPTIONS if not option.startswith("--server-id")]
    with running_server(*options, "--server-id=2") as running:
        with running.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                f"CHANGE MASTER TO master_host='127.0.0.1', master_port={maria_log_server.port}, master_user='root',"
                " master_use_gtid=slave_pos, master_connect_retry=1"
            )
            cursor.execute("START SLAVE")
        yield running


def wait_for_replica(primary: MariaServer, replica: MariaServer) -> None:
    deadline = time.monotonic() + 60
    while True:
        with primary.connect() as one, replica.connect() as other, one.cursor() as ours, other.cursor() as theirs:
            ours.execute("SELECT @@gtid_binlog_pos")
            theirs.execute("SELECT @@gtid_slave_pos")
            if ours.fetchall() == theirs.fetchall():
                return
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.05)


def moved(world: TableWorld, database: MariaDatabase) -> None:
    world.endpoint = world.endpoint.model_copy(update={"config": {"url": database.url}})


def test_a_unit_goes_on_at_the_replica_and_back(tmp_path: Path, maria_log: MariaDatabase, replica: MariaServer) -> None:
    promoted = MariaDatabase(replica, maria_log.name)
    maria_log.run("CREATE TABLE t (id int PRIMARY KEY, name varchar(20))")
    maria_log.run("INSERT INTO t SELECT seq, 'n' FROM seq_1_to_20")
    world = binlog_world(tmp_path, maria_log)
    world.run()
    write(maria_log, "UPDATE t SET name = 'before' WHERE id < 5", "DELETE FROM t WHERE id = 7")
    wait_for_replica(maria_log.server, replica)
    write(promoted, "STOP SLAVE")
    write(promoted, "UPDATE t SET id = 100 WHERE id = 1", "INSERT INTO t VALUES (101, 'promoted')")
    moved(world, promoted)
    world.run()
    assert_equal(world)
    write(promoted, "FLUSH BINARY LOGS", "DELETE FROM t WHERE id = 101")
    world.run()
    assert_equal(world)
    write(maria_log, "INSERT INTO t VALUES (200, 'split')")
    moved(world, maria_log)
    (summary,) = launch([world.order()], lambda progress: None, lambda: False)
    assert summary.error is not None
    assert summary.error.code == "E_LOG_GONE"
    assert "the server has the transactions up to" in summary.error.message


def test_a_replica_that_lost_a_transaction_and_went_on_is_refused(
    tmp_path: Path, maria_log: MariaDatabase, replica: MariaServer
) -> None:
    """Its own transactions have the numbers of those that it never got."""
    promoted = MariaDatabase(replica, maria_log.name)
    maria_log.run("CREATE TABLE t (id int PRIMARY KEY, name varchar(20))")
    world = binlog_world(tmp_path, maria_log)
    world.run()
    wait_for_replica(maria_log.server, replica)
    write(promoted, "STOP SLAVE")
    write(maria_log, "INSERT INTO t VALUES (1, 'lost')")
    world.run()
    write(promoted, "INSERT INTO t VALUES (2, 'other')", "INSERT INTO t VALUES (3, 'other')")
    moved(world, promoted)
    (summary,) = launch([world.order()], lambda progress: None, lambda: False)
    assert summary.error is not None
    assert summary.error.code == "E_LOG_GONE"


def test_a_slice_that_was_planned_at_the_primary_is_read_whole_at_the_replica(
    tmp_path: Path, maria_log: MariaDatabase, replica: MariaServer
) -> None:
    """The replica's file is longer for the same transactions: positions of one server say nothing of the other's."""
    maria_log.run("CREATE TABLE t (id int PRIMARY KEY, name varchar(20))")
    wait_for_replica(maria_log.server, replica)
    longer = ["SET SESSION gtid_domain_id = 7", *(f"CREATE TABLE more{number} (id int)" for number in range(30))]
    write(MariaDatabase(replica, maria_log.name), *longer)
    world, dialect = binlog_world(tmp_path, maria_log), Mysql()
    cuts = []
    for first in (1, 50):
        with dialect.open(world.endpoint) as session:
            cuts.append(read_visible_end(world.endpoint, session, read_server(session)))
        maria_log.run(f"INSERT INTO t SELECT seq, 'n' FROM seq_{first}_to_{first + 9}")
    spec = world.order().spec
    wait_for_replica(maria_log.server, replica)
    moved(world, MariaDatabase(replica, maria_log.name))
    spec = spec.model_copy(update={"endpoint": world.endpoint})
    for _ in range(2):  # from the server, and from the part that is kept
        with dialect.open(world.endpoint) as session:
            table = read_log_table(session, spec, read_server(session))
            found = list(transactions_between(table, *cuts))
        assert [len(one.items) for one in found if one.items] == [1]


def test_servers_that_number_their_transactions_alike_are_refused(
    tmp_path: Path, maria_log: MariaDatabase, replica: MariaServer
) -> None:
    """Both write into one domain, which MariaDB allows where `gtid_strict_mode` is off."""
    maria_log.run("CREATE TABLE t (id int PRIMARY KEY, name varchar(20))")
    world, both = binlog_world(tmp_path, maria_log), MariaDatabase(replica, maria_log.name)
    world.run()
    wait_for_replica(maria_log.server, replica)
    write(both, "STOP SLAVE", *[f"CREATE TABLE more{number} (id int)" for number in range(10)])
    maria_log.run("INSERT INTO t VALUES (1, 'late')")
    write(both, "START SLAVE")
    wait_for_replica(maria_log.server, replica)
    moved(world, both)
    (summary,) = launch([world.order()], lambda progress: None, lambda: False)
    assert summary.error is not None, world.rows()
    assert summary.error.code == "E_LOG_GONE"


def test_a_load_is_not_read_from_a_server_that_is_behind(
    tmp_path: Path, maria_log: MariaDatabase, replica: MariaServer
) -> None:
    maria_log.run("CREATE TABLE t (id int PRIMARY KEY)")
    wait_for_replica(maria_log.server, replica)
    behind = MariaDatabase(replica, maria_log.name)
    write(behind, "STOP SLAVE")
    maria_log.run("INSERT INTO t VALUES (1)")
    world = binlog_world(tmp_path, maria_log)
    spec, dialect = world.order().spec, Mysql()
    with dialect.open(world.endpoint) as session:
        begun = read_visible_end(world.endpoint, session, read_server(session))
    piece = Slice(
        segment="all",
        scope_id="load",
        rank=(0,),
        axis=Axis(kind="whole"),
        effect=Effect.LOAD,
        hints={"begun": list(begun.position)},
    )
    moved(world, behind)
    with dialect.open(world.endpoint) as session, pytest.raises(SourceUnavailable, match="another server answers"):
        PositionedDialect(dialect, piece).dialect.enter_snapshot(session, spec, None)
    write(behind, "START SLAVE")
    wait_for_replica(maria_log.server, replica)
    with dialect.open(world.endpoint) as session:
        PositionedDialect(dialect, piece).dialect.enter_snapshot(session, spec, None)
