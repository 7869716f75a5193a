"""Runs of three units of one endpoint that are killed at any step while a writer changes their tables in common transactions; units are also run
alone, several at once, or not for some rounds. After each round every row of every table is compared.

`python -m tests.changes.shared.kill_campaign --rounds 100 --seed 1` starts a PostgreSQL of its own.
"""

import argparse
import os
import random
import re
import signal
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ingest_ray.testing.servers import postgres as servers
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.postgres.changes.slot import shared_name
from tests import forks
from tests.changes.kill_campaign import CREATE, LOG_STEPS, OPERATIONS, POLICY, Writer, assert_same, fewer_slices, finish
from tests.changes.log_world import log_world, slots
from tests.run.test_killed import STEPS
from tests.verify.table_world import TableWorld, counts

TABLES = ("t", "u", "v")


def of_table(statement: str, table: str) -> str:
    return re.sub(r"\bt\b", table, statement)


@dataclass
class CommonWriter:
    """Changes all tables, mostly several in one transaction."""

    server: Postgres
    random: random.Random
    writers: dict[str, Writer] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.session = self.server.connect()
        self.writers = {table: Writer(self.server, self.random) for table in TABLES}

    def write(self, transactions: int, stop: threading.Event | None = None) -> None:
        for _ in range(transactions):
            if stop is not None and stop.is_set():
                return
            for _ in range(self.random.choice((1, 2, 2, 5))):
                table = self.random.choice(TABLES)
                (operation,) = self.random.choices(list(OPERATIONS), list(OPERATIONS.values()))
                self.done[operation] += 1
                for statement in self.writers[table].statements(operation):
                    self.server.run(of_table(statement, table), self.session)
            self.session.commit()


class AnyWriter(Protocol):
    def write(self, transactions: int, stop: threading.Event | None = None) -> None: ...


@dataclass(kw_only=True)
class KilledRuns:
    """Runs of units, of which one process is killed while a writer goes on, whichever database it is."""

    folder: Path
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    rows_compared: int = 0

    def killed_runs(self, worlds: list[TableWorld], writer: AnyWriter, chance: random.Random) -> None:
        """In one process, or in two at once of which one is killed."""
        step = f"{chance.choice([*STEPS, *LOG_STEPS, *LOG_STEPS])}@{chance.choice((1, 1, 2, 3))}"
        names = []
        for world in worlds:
            names.append(str(self.folder / f"{world.unit}.json"))
            Path(names[-1]).write_text(world.order().model_dump_json())
        split = chance.choice((0, 0, len(names) // 2))
        stop = threading.Event()
        writing = threading.Thread(target=writer.write, args=(40, stop))
        beside = threading.Thread(target=self.run_process, args=(names[:split], {}))
        for thread in (writing, beside):
            thread.start()
        self.run_process(names[split:], {"INGEST_FAILPOINT": step})
        stop.set()
        for thread in (writing, beside):
            thread.join()

    def run_process(self, names: list[str], env: dict[str, str]) -> None:
        if not names:
            return
        arguments = [names[0], "and", *names[1:]]
        done = forks.run_module("tests.run.run_process", *arguments, env=os.environ | env)
        is_killed = done.returncode == -signal.SIGKILL
        assert is_killed or done.returncode == 0, done.stdout + done.stderr
        assert not re.search("E_LOG_GONE|E_INTERNAL", done.stdout), done.stdout
        if env:
            self.kills[env["INGEST_FAILPOINT"].partition("@")[0] if is_killed else "too late"] += 1


@dataclass(kw_only=True)
class SharedCampaign(KilledRuns):
    server: Postgres
    shared_rounds: int = 0
    """After which one slot was left."""

    def run(self, rounds: int, *, is_loud: bool = False) -> None:
        chance = random.Random(self.seed)
        for table in TABLES:
            self.server.run(of_table(CREATE, table))
            self.server.run(f"ALTER TABLE {table} ALTER COLUMN big SET STORAGE EXTERNAL")
        writer = CommonWriter(self.server, chance)
        with log_world(self.folder, self.server, policy=POLICY) as world:
            worlds = [replace(world, unit=f"public.{table}", runs=10_000 * at) for at, table in enumerate(TABLES)]
            for number in range(rounds):
                writer.write(chance.randint(0, 12))
                for _ in range(chance.choice((1, 2))):
                    self.killed_runs(chance.sample(worlds, chance.randint(1, len(worlds))), writer, chance)
                self.server.run("SELECT pg_log_standby_snapshot()")
                run = [one for one in worlds if number % 10 == 9 or chance.random() < 0.8]
                for one in run:
                    finish(one, chance)
                for one in run:
                    self.compare(one, number)
                self.shared_rounds += slots(self.server) == [shared_name(world.endpoint)]
                if is_loud:
                    print(number, self.rows_compared, self.shared_rounds, dict(self.kills), flush=True)
        self.operations = writer.done

    def compare(self, world: TableWorld, number: int) -> None:
        table = world.unit.partition(".")[2]
        listed = f"SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        columns = [row[0] for row in self.server.run(listed)]
        expected = self.server.run(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id")
        found = [[row.get(name) for name in columns] for row in sorted(world.rows(), key=lambda row: row["id"])]
        assert_same(columns, found, [list(row) for row in expected], f"round {number} of seed {self.seed}: {table}")
        self.rows_compared += len(found)
        with fewer_slices(world):
            report = world.verify(with_values=True)
        assert counts(report) == (0, 0, 0, 0), (number, self.seed, table, report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    server: Any = servers.postgres_server.__wrapped__()  # type: ignore[attr-defined]
    started = next(server)
    with tempfile.TemporaryDirectory() as folder:
        for database in servers.fresh_database(started):
            campaign = SharedCampaign(folder=Path(folder), server=database, seed=chosen.seed)
            campaign.run(chosen.rounds, is_loud=True)
            print(
                f"{chosen.rounds} rounds, {campaign.rows_compared} rows compared, {campaign.shared_rounds} of them with one slot"
            )
            print(f"killed at {dict(campaign.kills)}; the writer: {dict(campaign.operations)}")
    next(server, None)


if __name__ == "__main__":
    main()
