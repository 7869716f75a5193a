"""Runs of three units of one MariaDB that are killed at any step while a writer inserts, updates, deletes, truncates and alters their tables in
common transactions; units are also run alone, several at once, or not for some rounds. After each round every row of every table is compared.

`python -m tests.changes.shared.binlog_kill_campaign --rounds 100 --seed 1` starts a MariaDB of its own.
"""

import argparse
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from ingest_ray.testing.servers.mariadb import MariaDatabase, fresh_database, running_server
from tests.changes.binlog_world import LOG_OPTIONS, binlog_world
from tests.changes.kill_campaign import POLICY, fewer_slices, finish
from tests.changes.shared.kill_campaign import TABLES, KilledRuns, of_table
from tests.verify.table_world import TableWorld, counts

OPERATIONS = {
    "insert": 30,
    "update": 25,
    "large update": 8,
    "delete": 15,
    "key change": 8,
    "upsert": 6,
    "replace": 4,
    "many": 3,
    "savepoint": 5,
    "prepared": 2,
    "rollback": 3,
    "flush": 2,
    "truncate": 1,
    "recreate": 1,
    "add column": 1,
    "drop column": 1,
    "rename column": 1,
    "widen": 1,
}
CREATE = "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(60), total decimal(12, 2), small smallint, big longtext, at timestamp(6) NULL)"


@dataclass
class CommonWriter:
    """Changes the tables at random, in transactions of one to five statements, of which each is of any table."""

    server: MariaDatabase
    random: random.Random
    tables: Sequence[str]
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.session = self.server.server.connect(self.server.name)
        self.session.autocommit(False)
        self.writers = {
            table: Writer(self.random, [one for one in self.tables if one != table]) for table in self.tables
        }

    def write(self, transactions: int, stop: threading.Event | None = None) -> None:
        for _ in range(transactions):
            if stop is not None and stop.is_set():
                return
            for _ in range(self.random.choice((1, 1, 1, 2, 5))):
                table = self.random.choice(self.tables)
                (operation,) = self.random.choices(list(OPERATIONS), list(OPERATIONS.values()))
                self.done[operation] += 1
                for statement in self.writers[table].statements(operation):
                    with self.session.cursor() as cursor:
                        cursor.execute(of_table(statement, table))
            self.session.commit()


@dataclass
class Writer:
    """The statements of one table, which they call `t`."""

    random: random.Random
    others: Sequence[str]
    columns: int = 0
    next_id: int = 2

    def statements(self, operation: str) -> list[str]:
        some = f"id % {self.random.randint(3, 40)} = 0 ORDER BY id LIMIT {self.random.randint(1, 4)}"
        match operation:
            case "insert":
                return [self.insert(self.random.randint(1, 4))]
            case "many":
                return [self.insert(300)]
            case "update":
                return [f"UPDATE t SET name = '{self.random.random()}', total = total + 1, at = now(6) WHERE {some}"]
            case "large update":
                return [f"UPDATE t SET big = repeat(md5('{self.random.random()}'), 150) WHERE {some}"]
            case "delete":
                return [f"DELETE FROM t WHERE {some}"]
            case "key change":
                self.next_id += 10
                return [f"UPDATE t SET id = {self.next_id - 5} ORDER BY id LIMIT 1"]
            case "upsert":
                key = self.random.randint(1, self.next_id - 1)
                return [f"INSERT INTO t (id, name) VALUES ({key}, 'u') ON DUPLICATE KEY UPDATE name = 'again'"]
            case "replace":
                return [f"REPLACE INTO t (id, name) VALUES ({self.random.randint(1, self.next_id - 1)}, 'r')"]
            case "savepoint":
                return [
                    "SAVEPOINT a",
                    self.insert(2),
                    "ROLLBACK TO a",
                    self.insert(1),
                    "SAVEPOINT b",
                    f"UPDATE t SET small = 7 WHERE {some}",
                    "RELEASE SAVEPOINT b",
                ]
            case "rollback":
                return [self.insert(3), "ROLLBACK"]
            case "prepared":
                name = f"'x{self.next_id}'"
                end = self.random.choice(("COMMIT", "ROLLBACK"))
                return [
                    "COMMIT",
                    f"XA START {name}",
                    *(f"UPDATE {other} SET small = 3 WHERE {some}" for other in self.others),
                    self.insert(2),
                    f"XA END {name}",
                    f"XA PREPARE {name}",
                    f"XA {end} {name}",
                ]
            case "flush":
                return ["FLUSH BINARY LOGS"]
            case "truncate":
                return ["TRUNCATE t", self.insert(5)]
            case "recreate":
                return [
                    "CREATE TABLE spare LIKE t",
                    "DROP TABLE t",
                    "CREATE TABLE t LIKE spare",
                    "DROP TABLE spare",
                    self.insert(5),
                ]
            case "add column":
                self.columns += 1
                name = f"extra{self.columns}"
                # Without a change after it, the sink has no reason to get the column.
                return [
                    f"ALTER TABLE t ADD COLUMN {name} varchar(9) AFTER id",
                    self.insert(2),
                    f"UPDATE t SET {name} = 'x' WHERE {some}",
                ]
            case "drop column":
                return [f"ALTER TABLE t DROP COLUMN IF EXISTS extra{self.columns}"]
            case "rename column":
                self.columns += 1
                name = f"extra{self.columns}"
                return [
                    f"ALTER TABLE t ADD COLUMN old{name} int",
                    f"ALTER TABLE t RENAME COLUMN old{name} TO {name}",
                    self.insert(1),
                    f"UPDATE t SET {name} = 5 WHERE {some}",
                ]
            case _:
                return ["ALTER TABLE t MODIFY small int"]

    def insert(self, rows: int) -> str:
        first, self.next_id = self.next_id, self.next_id + rows
        return (
            "INSERT INTO t (id, name, total, small, big, at) SELECT seq, concat('n\u00f6', seq), seq * 1.5, seq % 100,"
            f" IF(seq % 3 = 0, repeat(md5(seq), 150), NULL), now(6) FROM seq_{first}_to_{first + rows - 1}"
        )


@dataclass(kw_only=True)
class BinlogCampaign(KilledRuns):
    server: MariaDatabase
    tables: Sequence[str] = TABLES

    def run(self, rounds: int, *, is_loud: bool = False) -> None:
        chance = random.Random(self.seed)
        for table in self.tables:
            self.server.run(of_table(CREATE, table))
        writer = CommonWriter(self.server, chance, self.tables)
        world = binlog_world(self.folder, self.server, policy=POLICY)
        worlds = [
            replace(world, unit=f"{self.server.name}.{table}", runs=10_000 * at) for at, table in enumerate(self.tables)
        ]
        for number in range(rounds):
            writer.write(chance.randint(0, 12))
            for _ in range(chance.choice((1, 2))):
                self.killed_runs(chance.sample(worlds, chance.randint(1, len(worlds))), writer, chance)
            run = [one for one in worlds if number % 10 == 9 or chance.random() < 0.8]
            for one in run:
                finish(one, chance)
            for one in run:
                self.compare(one, number)
            if is_loud:
                print(number, self.rows_compared, dict(self.kills), flush=True)
        self.operations = writer.done

    def compare(self, world: TableWorld, number: int) -> None:
        table = world.unit.partition(".")[2]
        expected = self.server.run(f"SELECT * FROM {table} ORDER BY id")
        names = list(expected[0]) if expected else []
        found = sorted(world.rows(), key=lambda row: row["id"])
        rows = [{name: row.get(name) for name in names} for row in found]
        for row in rows:
            row["at"] = row["at"].replace(tzinfo=None) if row["at"] is not None else None
        differing = [pair for pair in zip_longest(rows, expected) if pair[0] != pair[1]]
        where = f"round {number} of seed {self.seed}: {table}"
        assert not differing, f"{where}: {len(differing)} rows differ, first {differing[0]}"
        self.rows_compared += len(found)
        with fewer_slices(world):
            report = world.verify(with_values=True)
        assert counts(report) == (0, 0, 0, 0), (where, report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_server(*LOG_OPTIONS) as server:
        campaign = BinlogCampaign(folder=Path(folder), server=fresh_database(server), seed=chosen.seed)
        campaign.run(chosen.rounds, is_loud=True)
        print(f"{chosen.rounds} rounds, {campaign.rows_compared} rows compared; killed at {dict(campaign.kills)}")
        print(f"the writer: {dict(campaign.operations)}")


if __name__ == "__main__":
    main()
