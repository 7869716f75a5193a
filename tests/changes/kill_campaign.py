"""Runs that are killed at any step while a writer inserts, updates, deletes, truncates and alters; after each round every row is compared.

`python -m tests.changes.kill_campaign --rounds 200 --seed 1` starts a PostgreSQL of its own.
"""

import argparse
import os
import random
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from ingest_ray.testing.servers import postgres as servers
from ingest_ray.testing.servers.postgres import Postgres
from tests import forks
from tests.changes.log_world import log_world
from tests.run.test_killed import STEPS
from tests.verify.table_world import TableWorld, counts

LOG_STEPS = ["log:after-open", "log:before-advance", "log:before-move", "log:after-advance"]
OPERATIONS = {
    "insert": 30,
    "update": 25,
    "large update": 8,
    "delete": 15,
    "key change": 8,
    "upsert": 6,
    "many": 3,
    "rollback": 3,
    "savepoint": 3,
    "truncate": 1,
    "add column": 1,
    "drop column": 1,
    "widen": 1,
}
POLICY = {"target_slice_bytes": 65_536}
FEWER_SLICES = 16
"""Times as large: slices of a run that is not to be killed, and blocks of a comparison."""
CREATE = "CREATE TABLE t (id bigint PRIMARY KEY, name text, total numeric(12, 2), small smallint, big text)"


def finish(world: TableWorld, chance: random.Random) -> None:
    """Runs the unit to its end: in the small rounds of the run that was killed, or mostly in large ones, which cost less."""
    if chance.random() < 0.25:
        world.run()
        return
    with fewer_slices(world):
        world.run()


@contextmanager
def fewer_slices(world: TableWorld) -> Iterator[None]:
    small = world.policy
    world.policy = {**small, "target_slice_bytes": small["target_slice_bytes"] * FEWER_SLICES}
    try:
        yield
    finally:
        world.policy = small


def assert_same(columns: Sequence[str], found: Sequence[list[Any]], expected: Sequence[list[Any]], where: str) -> None:
    """Of rows with other values; of missing and surplus ones, by their keys; and of doubled ones."""
    key = columns.index("id")
    rows, source = {row[key]: row for row in found}, {row[key]: row for row in expected}
    assert len(rows) == len(found), f"{where}: {len(found) - len(rows)} rows are doubled"
    missing, surplus = sorted(source.keys() - rows.keys()), sorted(rows.keys() - source.keys())
    differing = [(rows[at], source[at]) for at in rows.keys() & source.keys() if rows[at] != source[at]]
    assert not missing, f"{where}: missing {missing[:20]}, surplus {surplus[:20]}"
    assert not surplus, f"{where}: surplus {surplus[:20]}"
    assert not differing, f"{where}: {len(differing)} with other values of {columns}: {differing[:2]}"


@dataclass
class Writer:
    """Changes the table at random, in transactions of one to five statements."""

    server: Postgres
    random: random.Random
    done: Counter[str] = field(default_factory=Counter)
    columns: int = 0
    next_id: int = 2

    def __post_init__(self) -> None:
        self.session = self.server.connect()

    def write(self, transactions: int, stop: threading.Event | None = None) -> None:
        for _ in range(transactions):
            if stop is not None and stop.is_set():
                return
            for _ in range(self.random.choice((1, 1, 1, 2, 5))):
                (operation,) = self.random.choices(list(OPERATIONS), list(OPERATIONS.values()))
                self.done[operation] += 1
                for statement in self.statements(operation):
                    self.server.run(statement, self.session)
            self.session.commit()

    def statements(self, operation: str) -> list[str]:
        some = (
            f"(SELECT id FROM t ORDER BY md5(id::text || '{self.random.random()}') LIMIT {self.random.randint(1, 4)})"
        )
        match operation:
            case "insert":
                return [self.insert(self.random.randint(1, 4))]
            case "many":
                return [self.insert(300)]
            case "update":
                return [f"UPDATE t SET name = '{self.random.random()}', total = total + 1 WHERE id IN {some}"]
            case "large update":
                return [f"UPDATE t SET big = repeat(md5('{self.random.random()}'), 150) WHERE id IN {some}"]
            case "delete":
                return [f"DELETE FROM t WHERE id IN {some}"]
            case "key change":
                self.next_id += 10
                return [f"UPDATE t SET id = {self.next_id - 5} WHERE id = (SELECT min(id) FROM t)"]
            case "upsert":
                key = self.random.randint(1, self.next_id - 1)
                return [f"INSERT INTO t (id, name) VALUES ({key}, 'u') ON CONFLICT (id) DO UPDATE SET name = 'again'"]
            case "rollback":
                return ["SAVEPOINT a", "TRUNCATE t", "ROLLBACK TO a"]
            case "savepoint":
                return ["SAVEPOINT a", self.insert(2), "RELEASE a", f"UPDATE t SET small = 7 WHERE id IN {some}"]
            case "truncate":
                return ["TRUNCATE t", self.insert(5)]
            case "add column":
                self.columns += 1
                name = f"extra{self.columns}"
                return [
                    f"ALTER TABLE t ADD COLUMN {name} text",
                    self.insert(2),  # without a change after it, the sink has no reason to get the column
                    f"UPDATE t SET {name} = 'x' WHERE id IN {some}",
                ]
            case "drop column":
                return [f"ALTER TABLE t DROP COLUMN IF EXISTS extra{self.columns}"]
            case _:
                return ["ALTER TABLE t ALTER COLUMN small TYPE integer"]

    def insert(self, rows: int) -> str:
        first, self.next_id = self.next_id, self.next_id + rows
        return (
            f"INSERT INTO t (id, name, total, small, big) SELECT i, 'n' || i, i * 1.5, i % 100, CASE WHEN i % 3 = 0 THEN"
            f" repeat(md5(i::text), 150) END FROM generate_series({first}, {first + rows - 1}) i"
        )


@dataclass
class Campaign:
    folder: Path
    server: Postgres
    seed: int
    write: str = "upsert"
    kills: Counter[str] = field(default_factory=Counter)
    rows_compared: int = 0

    def run(self, rounds: int, *, is_loud: bool = False) -> None:
        chance = random.Random(self.seed)
        self.server.run(CREATE)
        self.server.run("ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL")
        writer = Writer(self.server, chance)
        with log_world(self.folder, self.server, policy={**POLICY, "write": self.write}) as world:
            for number in range(rounds):
                writer.write(chance.randint(0, 12))
                self.killed_run(world, writer, chance)
                finish(world, chance)
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
        listed = (
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped"
        )
        columns = [row[0] for row in self.server.run(listed)]
        expected = self.server.run(f"SELECT {', '.join(columns)} FROM t ORDER BY id")
        rows = self.current_rows(world) if self.write == "history" else world.rows()
        found = [[row.get(name) for name in columns] for row in sorted(rows, key=lambda row: row["id"])]
        assert_same(columns, found, [list(row) for row in expected], f"round {number} of seed {self.seed}")
        self.rows_compared += len(found)
        with fewer_slices(world):
            report = world.verify(with_values=True)
        assert counts(report) == (0, 0, 0, 0), (number, self.seed, report)

    def current_rows(self, world: TableWorld) -> list[dict[str, Any]]:
        """Those of a history, after a check that the rows of each key follow one another."""
        rows = sorted(world.lake.to_pyarrow_table().to_pylist(), key=lambda row: (row["id"], row["_valid_from"]))
        for before, after in pairwise(rows):
            if before["id"] == after["id"]:
                assert before["_valid_to"] is not None, before
                assert before["_valid_from"] < after["_valid_from"] >= before["_valid_to"], (before, after)
        assert all(row["_is_current"] == (row["_valid_to"] is None) for row in rows)
        return [row for row in rows if row["_is_current"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", choices=["upsert", "history"], default="upsert")
    chosen = parser.parse_args()
    server: Any = servers.postgres_server.__wrapped__()  # type: ignore[attr-defined]
    started = next(server)
    with tempfile.TemporaryDirectory() as folder:
        for database in servers.fresh_database(started):
            campaign = Campaign(Path(folder), database, chosen.seed, chosen.write)
            campaign.run(chosen.rounds, is_loud=True)
            print(f"{chosen.rounds} rounds, {campaign.rows_compared} rows compared; killed at {dict(campaign.kills)}")
            print(f"the writer: {dict(campaign.operations)}")
    next(server, None)


if __name__ == "__main__":
    main()
