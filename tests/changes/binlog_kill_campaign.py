"""Runs that are killed at any step while a writer inserts, updates, deletes, truncates and alters a table of MariaDB; after each round
every row is compared.

`python -m tests.changes.binlog_kill_campaign --rounds 60 --seed 1` starts a MariaDB of its own.
"""

import argparse
import os
import random
import signal
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from ingest_ray.testing.servers.mariadb import MariaDatabase, fresh_database, running_server
from tests import forks
from tests.changes.binlog_world import LOG_OPTIONS, binlog_world
from tests.changes.kill_campaign import LOG_STEPS
from tests.run.test_killed import STEPS
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
class Writer:
    """Changes the table at random, in transactions of one to five statements."""

    server: MariaDatabase
    random: random.Random
    done: Counter[str] = field(default_factory=Counter)
    columns: int = 0
    next_id: int = 2

    def __post_init__(self) -> None:
        self.session = self.server.server.connect(self.server.name)
        self.session.autocommit(False)

    def write(self, transactions: int, stop: threading.Event | None = None) -> None:
        for _ in range(transactions):
            if stop is not None and stop.is_set():
                return
            for _ in range(self.random.choice((1, 1, 1, 2, 5))):
                (operation,) = self.random.choices(list(OPERATIONS), list(OPERATIONS.values()))
                self.done[operation] += 1
                for statement in self.statements(operation):
                    with self.session.cursor() as cursor:
                        cursor.execute(statement)
            self.session.commit()

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
                    "CREATE TABLE u LIKE t",
                    "DROP TABLE t",
                    "CREATE TABLE t LIKE u",
                    "DROP TABLE u",
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


@dataclass
class Campaign:
    folder: Path
    server: MariaDatabase
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    rows_compared: int = 0

    def run(self, rounds: int, *, is_loud: bool = False) -> None:
        chance = random.Random(self.seed)
        self.server.run(CREATE)
        writer = Writer(self.server, chance)
        world = binlog_world(self.folder, self.server, policy={"target_slice_bytes": 65536})
        for number in range(rounds):
            writer.write(chance.randint(0, 12))
            self.killed_run(world, writer, chance)
            world.run()
            self.compare(world, number)
            if is_loud:
                print(number, self.rows_compared, dict(self.kills), flush=True)
        self.operations = writer.done

    def killed_run(self, world: TableWorld, writer: Writer, chance: random.Random) -> None:
        step = f"{chance.choice([*STEPS, *LOG_STEPS])}@{chance.choice((1, 1, 2, 3))}"
        order = self.folder / "order.json"
        order.write_text(world.order().model_dump_json())
        stop = threading.Event()
        writing = threading.Thread(target=writer.write, args=(60, stop))
        writing.start()
        done = forks.run_module("tests.run.run_process", str(order), env=os.environ | {"INGEST_FAILPOINT": step})
        stop.set()
        writing.join()
        is_killed = done.returncode == -signal.SIGKILL
        assert is_killed or done.returncode == 0, done.stdout + done.stderr
        self.kills[step.partition("@")[0] if is_killed else "too late"] += 1

    def compare(self, world: TableWorld, number: int) -> None:
        expected = self.server.run("SELECT * FROM t ORDER BY id")
        names = list(expected[0]) if expected else []
        found = sorted(world.rows(), key=lambda row: row["id"])
        rows = [{name: row.get(name) for name in names} for row in found]
        for row in rows:
            row["at"] = row["at"].replace(tzinfo=None) if row["at"] is not None else None
        differing = [pair for pair in zip_longest(rows, expected) if pair[0] != pair[1]]
        assert not differing, f"round {number} of seed {self.seed}: {len(differing)} rows differ, first {differing[0]}"
        self.rows_compared += len(found)
        report = world.verify(with_values=True)
        assert counts(report) == (0, 0, 0, 0), (number, self.seed, report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_server(*LOG_OPTIONS) as server:
        campaign = Campaign(Path(folder), fresh_database(server), chosen.seed)
        campaign.run(chosen.rounds, is_loud=True)
        print(f"{chosen.rounds} rounds, {campaign.rows_compared} rows compared; killed at {dict(campaign.kills)}")
        print(f"the writer: {dict(campaign.operations)}")


if __name__ == "__main__":
    main()
