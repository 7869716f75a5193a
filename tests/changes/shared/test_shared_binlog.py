"""One reader of the binary log feeds all units of an endpoint: read once, also at once; a unit far behind reads by itself."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunState, UnitSpec
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_strategies.jdbc.mysql.changes import log_parts
from ingest_strategies.jdbc.mysql.changes.event_stream import EventStream, open_stream
from ingest_strategies.jdbc.mysql.changes.intervals import read_log_table, transactions_between
from ingest_strategies.jdbc.mysql.changes.part_reader import LogTable, read_part
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.server import read_server, read_visible_end
from ingest_strategies.jdbc.mysql.changes.transactions import Transaction, TransactionReader
from ingest_strategies.jdbc.mysql.dialect import Mysql
from tests.changes.binlog_world import binlog_world, write
from tests.changes.log_world import assert_equal
from tests.changes.shared.binlog_kill_campaign import CREATE, CommonWriter
from tests.changes.shared.kill_campaign import TABLES, of_table
from tests.changes.shared.test_shared_log import run_at_once
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow
Reads = list[tuple[str, LogPosition]]


@pytest.fixture
def units(tmp_path: Path, maria_log: MariaDatabase) -> list[TableWorld]:
    for table in TABLES:
        maria_log.run(f"CREATE TABLE {table} (id int PRIMARY KEY, name longtext)")
        maria_log.run(f"INSERT INTO {table} VALUES (1, 'first')")
    world = binlog_world(tmp_path, maria_log, policy={"target_slice_bytes": 64 * 1024})
    made = [replace(world, unit=f"{maria_log.name}.{table}", runs=1_000 * at) for at, table in enumerate(TABLES)]
    for _ in range(2):
        run_all(made)
    return made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    """The units that read a part of the log from the server, and from where on."""
    read, found = log_parts.read_part, Reads()

    def noted(table: LogTable, lower: LogPosition, *given: Any, **options: Any) -> Any:
        found.append((table.target.table, lower))
        return read(table, lower, *given, **options)

    monkeypatch.setattr(log_parts, "read_part", noted)
    return found


def run_all(units: list[TableWorld]) -> None:
    for world in units:
        world.run()


def assert_all_equal(units: list[TableWorld]) -> None:
    for world in units:
        assert_equal(world)


def test_the_log_is_read_once_for_all_units(units: list[TableWorld], maria_log: MariaDatabase, reads: Reads) -> None:
    for number in range(2, 5):
        write(
            maria_log,
            "BEGIN",
            *(f"INSERT INTO {table} VALUES ({number}, 'x')" for table in TABLES),
            "COMMIT",
            "UPDATE u SET name = 'changed'",
            "TRUNCATE v",
            f"INSERT INTO v VALUES ({number}, 'after')",
        )
        reads.clear()
        run_all(units)
        assert len(reads) == 1
    assert_all_equal(units)


def test_an_interval_over_several_parts_is_taken_from_them(
    units: list[TableWorld], maria_log: MariaDatabase, reads: Reads
) -> None:
    first, second, _ = units
    for number in (2, 3):
        write(maria_log, f"INSERT INTO u VALUES ({number}, 'x')")
        second.run()
    write(maria_log, "INSERT INTO t VALUES (2, 'x')")
    first.run()
    assert [name for name, _ in reads] == ["u", "u", "t"]
    assert_equal(first)


def test_units_that_run_at_once_wait_for_the_one_that_reads(
    units: list[TableWorld], maria_log: MariaDatabase, reads: Reads
) -> None:
    for number in range(2, 5):
        write(maria_log, *(f"INSERT INTO {table} VALUES ({number}, 'x')" for table in TABLES))
        reads.clear()
        ended = run_at_once(units)
        assert [(one.state, one.retries) for one in ended] == [(RunState.SUCCEEDED, 0)] * len(units)
        assert len(reads) == 1
    assert_all_equal(units)


def test_a_unit_far_behind_reads_by_itself_and_the_others_go_on(
    units: list[TableWorld], maria_log: MariaDatabase, reads: Reads
) -> None:
    late, *others = units
    for number in range(2, 6):
        for table in TABLES:
            write(maria_log, f"INSERT INTO {table} VALUES ({number}, repeat(md5(rand()), 2500))")
        run_all(others)
    log_parts.forget_parts()  # as another process, or after many rounds
    far, near = threading.Event(), threading.Event()
    read = log_parts.read_part

    def held(table: LogTable, *given: Any, **options: Any) -> Any:
        if table.target.table == "t":
            far.set()
            assert near.wait(60)
        return read(table, *given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_parts, "read_part", held)
        running = threading.Thread(target=late.run)
        running.start()
        assert far.wait(60)
        write(maria_log, "DELETE FROM u", "UPDATE v SET name = 'on'")
        reads.clear()
        run_all(others)
        assert {name for name, _ in reads} == {"u"}  # and `v` takes what it has read
        near.set()
        running.join(60)
    assert_all_equal(units)
    write(maria_log, *(f"INSERT INTO {table} VALUES (50, 'x')" for table in TABLES))
    late.run()
    reads.clear()
    run_all(units)
    assert len(reads) <= 1
    assert_all_equal(units)


def test_a_unit_whose_connection_hangs_holds_no_other_for_long(
    units: list[TableWorld], maria_log: MariaDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_parts, "WAIT_S", 0.1)
    hangs, goes_on = threading.Event(), threading.Event()
    read = log_parts.read_part

    def held(table: LogTable, *given: Any, **options: Any) -> Any:
        if table.target.table == "t":
            hangs.set()
            assert goes_on.wait(60)
        return read(table, *given, **options)

    monkeypatch.setattr(log_parts, "read_part", held)
    write(maria_log, *(f"INSERT INTO {table} VALUES (2, 'x')" for table in TABLES))
    running = threading.Thread(target=units[0].run)
    running.start()
    assert hangs.wait(60)
    run_all(units[1:])
    goes_on.set()
    running.join(60)
    assert_all_equal(units)


def test_a_table_that_is_added_later_is_loaded_while_the_others_go_on(
    units: list[TableWorld], maria_log: MariaDatabase, reads: Reads
) -> None:
    maria_log.run("CREATE TABLE w (id int PRIMARY KEY, name text)")
    maria_log.run("INSERT INTO w SELECT seq, 'w' FROM seq_1_to_50")
    added = replace(units[0], unit=f"{maria_log.name}.w", runs=9_000)
    write(maria_log, "DELETE FROM w WHERE id = 3", "INSERT INTO u VALUES (2, 'x')")
    run_all(units[:2])
    added.run()
    write(maria_log, "UPDATE w SET name = 'x' WHERE id = 1", "INSERT INTO u VALUES (3, 'x')")
    run_all([*units, added])
    reads.clear()
    write(maria_log, "DELETE FROM w WHERE id = 2", "INSERT INTO u VALUES (4, 'x')")
    run_all([*units, added])
    assert len(reads) == 1
    assert_all_equal([*units, added])


def test_a_transaction_larger_than_a_part_may_be_is_kept_for_the_table_that_reads_it(
    units: list[TableWorld], maria_log: MariaDatabase, reads: Reads
) -> None:
    write(
        maria_log,
        "BEGIN",
        "INSERT INTO u SELECT seq, repeat(md5(seq), 100) FROM seq_2_to_400",
        "INSERT INTO v SELECT seq, repeat(md5(seq), 100) FROM seq_2_to_400",
        "INSERT INTO t VALUES (2, 'x')",
        "COMMIT",
        "DELETE FROM u WHERE id = 7",
    )
    run_all(units)
    assert {name for name, _ in reads} == set(TABLES)
    assert_all_equal(units)


def spec_of(world: TableWorld) -> UnitSpec:
    return world.order().spec


def from_the_server(table: LogTable, lower: LogPosition, upper: LogPosition) -> list[Transaction]:
    """The transactions of the table as the log has them, without a part."""

    def until(stream: EventStream) -> Iterator[Any]:
        for event in stream.events():
            yield event
            if (event.file, event.offset) == (upper.file, upper.offset):
                return

    with open_stream(table.spec.endpoint) as stream:
        stream.begin(lower)
        reader = TransactionReader(table.target, "t")
        return [one for one in reader.read(until(stream)) if one.items or one.is_altered]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_a_part_has_for_each_table_what_the_log_has(seed: int, tmp_path: Path, maria_log: MariaDatabase) -> None:

    for table in TABLES:
        maria_log.run(of_table(CREATE, table))
    world = binlog_world(tmp_path, maria_log)
    dialect = Mysql()
    with dialect.open(world.endpoint) as session:
        server = read_server(session)
        lower = read_visible_end(world.endpoint, session, server)
    writer = CommonWriter(maria_log, random.Random(seed), TABLES)
    cuts = [lower]
    for _ in range(6):
        writer.write(15)
        write(maria_log, "CREATE TABLE made SELECT 1 AS id", "DROP TABLE made")
        with dialect.open(world.endpoint) as session:
            cuts.append(read_visible_end(world.endpoint, session, server))
    upper, found = cuts[-1], Counter[str]()
    with dialect.open(world.endpoint) as session:
        for name in TABLES:
            spec = spec_of(replace(world, unit=f"{maria_log.name}.{name}"))
            table = read_log_table(session, spec, server)
            expected = from_the_server(table, lower, upper)
            whole = [one for one in transactions_between(table, lower, upper) if one.items or one.is_altered]
            assert whole == expected
            apart = [
                one for below, above in itertools.pairwise(cuts) for one in transactions_between(table, below, above)
            ]
            assert [one for one in apart if one.items or one.is_altered] == expected
            found[name] = len(expected)
    assert min(found.values()) > 10
    part = read_part(table, lower, upper)
    assert part.upper == upper
    assert part.upper_from(cuts[2]) == upper
