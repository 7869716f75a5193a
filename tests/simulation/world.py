"""One history: people and machines around a unit, then peace, then the judgement."""

from collections import Counter
from dataclasses import dataclass
from random import Random

from ingest_ray.core.limits import Limits
from ingest_ray.kv.keys import intent_key, lease_key
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import RunState
from ingest_ray.state import read_states, reset_state
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import TTL_S
from tests.simulation.chance import Chance
from tests.simulation.ints import Ints
from tests.simulation.judge import Judge, Violation
from tests.simulation.orders import UNIT
from tests.simulation.pages import Pages
from tests.simulation.run import Run
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.sink import Server, UnitWriter
from tests.simulation.store import Store
from tests.simulation.table import Table

MOST_STEPS = 20_000  # a history has some hundred; one that does not end is a violation
KEYS = 24


@dataclass
class Result:
    seed: int
    violation: str | None
    struck: Counter[str]
    outcomes: Counter[str]
    commits: int
    rows: int
    steps: int


class World:
    def __init__(self, seed: int, *, is_traced: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.chance = Chance.of(self.random)
        self.scheduler = Scheduler(self.random, is_traced=is_traced)
        self.write = self.random.choice(["upsert", "upsert", "append", "replace"])
        lookback = self.random.choice([0, 0, 6]) if self.write == "upsert" else 0
        self.table = Table(self.random, self.random.randint(1, 3), lookback)
        if self.random.random() < 0.2:
            self.table.bad = frozenset(self.random.sample(range(KEYS), 3))
        self.judge = Judge(self.table)
        is_mapped = self.write == "upsert" and self.random.random() < 0.4
        self.server = Server(self.write, self.judge, is_mapped)
        self.judge.has = self.server.has
        self.store = Store(self.scheduler, self.chance, self.judge)
        self.pages = Pages(self.scheduler, self.chance)
        self.unit_writer = UnitWriter(self.server, self.scheduler, self.chance, self.pages)
        self.runs: list[Run] = []
        self.people: list[Process] = []
        self.configure()
        for key in range(self.random.choice([0, 3, 10, KEYS])):
            self.table.write(key)
        while self.table.open:
            self.table.end_one()

    def configure(self) -> None:
        """What a person may change between two runs, or while one runs."""
        self.width = self.random.randint(1, 6)
        self.reads_ahead = self.write == "upsert" and self.random.random() < 0.3
        self.limits = Limits(
            readers=self.random.randint(1, 3),
            preparers=self.random.randint(1, 3),
            budget_bytes=self.random.choice([20, 100]),
            slice_bytes=20,
            group_slices=self.random.randint(1, 4),
            merge_bytes=self.random.choice([0, 6, 1000]),
            attempts=self.random.choice([2, 8]),
            state_attempts=self.random.choice([2, 10]),
            is_whole=self.write == "replace",
            mappers=self.random.randint(1, 2) if self.server.is_mapped else 0,
            keeps_staged=self.server.is_mapped and self.random.random() < 0.5,
        )

    # --- what happens around the runs

    def start_run(self) -> Run:
        number = len(self.runs) + 1
        skew = self.random.choice([0.0, 0.0, -45.0, 45.0]) if not self.chance.is_quiet else 0.0
        run = Run(
            f"run-{number}",
            number,
            lambda: self.scheduler.now + skew,
            self.scheduler,
            self.chance,
            self.judge,
            self.store,
            self.pages,
            self.unit_writer,
            Ints(self.table, self.write, self.width, self.table.lookback, self.reads_ahead),
            self.limits,
        )
        self.runs.append(run)
        run.start()
        return run

    def active(self) -> list[Run]:
        return [run for run in self.runs if run.is_running]

    def happen(self) -> None:
        """Something that nobody asked the runs about."""
        active = self.active()
        if self.random.random() < 0.08:
            self._change()
        if not active:
            return
        run = self.random.choice(active)
        if self.random.random() < 0.05:
            self._strike(run)

    def _change(self) -> None:
        key = self.random.randrange(KEYS)
        what = self.random.random()
        if what < 0.7:
            self.table.write(key)
        elif what < 0.9:
            self.table.end_one()
        else:
            self.table.delete(key)

    def _strike(self, run: Run) -> None:
        if self.chance.strikes("killed: run"):
            run.kill()
        elif self.chance.strikes("suspended"):
            self._suspend(run)
        elif self.chance.strikes("stop asked"):
            run.is_stopping = True
        elif self.chance.strikes("configuration changed"):
            self.configure()
        elif self.chance.strikes("second run"):
            self.start_run()
        elif self.write != "append" and self.chance.strikes("reset"):
            self.people.append(Process("person"))
            self.scheduler.spawn(self.people[-1], self._reset)

    def _suspend(self, run: Run) -> None:
        """All of a run or one process of it, for a moment or past its lease; somebody may start another run meanwhile."""
        seconds = self.random.choice([5.0, TTL_S + 5, 3 * TTL_S])
        victims = run.everything if self.random.random() < 0.5 else [self.random.choice(run.everything)]
        for process in victims:
            process.frozen_until = self.scheduler.now + seconds
        if seconds > TTL_S and self.random.random() < 0.5:
            self.scheduler.spawn(Process("person"), lambda: self._start_later(seconds - 5.0))

    def _start_later(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)
        if not self.chance.is_quiet:
            self.start_run()

    def _reset(self) -> None:
        try:
            reset_state(self.store, UNIT, Owner(host="elsewhere", pid=0, started="-"), lambda: self.scheduler.now)
            self.chance.struck["reset done"] += 1
        except IngestError as error:
            self.chance.struck[f"reset refused: {error.code}"] += 1

    # --- the history

    def play(self) -> Result:
        violation = None
        try:
            self._turmoil()
            self._peace()
        except Violation as error:
            violation = str(error)
        except Exception as error:
            violation = f"{type(error).__name__}: {error}"
            if self.scheduler.is_traced:
                raise
        self.scheduler.close()
        if self.judge.broken:
            violation = self.judge.broken[0]
        return Result(
            self.seed,
            violation,
            self.chance.struck,
            Counter(run.outcome for run in self.runs),
            self.server.sequence,
            len(self.table.rows),
            self.scheduler.steps,
        )

    def _turmoil(self) -> None:
        wanted = self.random.randint(1, 4)
        while len(self.runs) < wanted + 8:
            if not self.active():
                ended = [run for run in self.runs if run.outcome != "refused"]
                if len(ended) >= wanted:
                    break
                self.start_run()
            self._step()
            if self.runs[-1].outcome == "refused":
                self.scheduler.now += self.random.choice([1.0, TTL_S])

    def _step(self) -> None:
        if not self.chance.is_quiet:
            self.happen()
        if not self.scheduler.step():
            self.scheduler.now += TTL_S
        if self.scheduler.steps > MOST_STEPS:
            raise Violation("the history does not end")
        if self.judge.broken:
            raise Violation(self.judge.broken[0])

    def _peace(self) -> None:
        """No more faults. Zombies are dead, or go on to their end; then a run must succeed, and the next one, too."""
        self.chance.is_quiet = True
        while self.table.open:
            self.table.end_one()
        if self.random.random() < 0.5:
            for run in self.active():
                run.kill()
            for person in self.people:
                self.scheduler.kill(person)
            self._finish(tries=1)
        else:
            self._finish(tries=8)
        while self.scheduler.step():
            if self.scheduler.steps > MOST_STEPS:
                raise Violation("the history does not end")
        self._finish(tries=1)
        self.judge.agrees(self.write, self.server.shown, self.server.newest)
        self._check_state()

    def _finish(self, tries: int) -> None:
        """A run that was refused because another one lives does not count as a try."""
        faults = []
        while len(faults) < tries:
            run = self.start_run()
            while run.is_running:
                self._step()
            if run.outcome == RunState.SUCCEEDED.value:
                return
            if run.outcome == "refused":
                self.scheduler.now += TTL_S / 2
            else:
                faults.append(run.fault or run.outcome)
        raise Violation(f"no run succeeds in peace: {faults}")

    def _check_state(self) -> None:
        lease = self.store.seen(lease_key(UNIT))
        if lease is None or not lease[0]["is_released"]:
            raise Violation("the lease of the last run was not given back")
        self.chance.is_quiet = True
        state = read_states(self.store, UNIT)
        if state.has_intent:
            raise Violation(f"an intent is left: {self.store.seen(intent_key(UNIT))}")
        if self.write == "replace":
            return
        for segment in state.segments.values():
            if segment.watermark is None or int(segment.watermark[0]) != self.table.horizon:
                raise Violation(f"the watermark of segment {segment.segment} is {segment.watermark} at the end")
