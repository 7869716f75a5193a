"""One history of a unit: a phase of faults, a phase without, then the final checks."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from ingest_ray.core.limits import Limits
from ingest_ray.engine.steps.recovery import return_to_sink
from ingest_ray.kv.keys import intent_key, lease_key
from ingest_ray.sdk.errors import HistoryTooShort, IngestError, StateBehindSink
from ingest_ray.sdk.types import RunState
from ingest_ray.state import commit_history, read_states, reset_state
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import TTL_S
from ingest_ray.state.writer import StateWriter
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.integer_strategy import IntegerStrategy
from tests.simulation.invariants import InvariantChecker, Violation
from tests.simulation.run_order import UNIT
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.simulated_kv import SimulatedKv
from tests.simulation.simulated_run import CooperativeLock, SimulatedRun
from tests.simulation.simulated_sink import SimulatedUnitWriter, SinkCopy, SinkServer
from tests.simulation.simulated_staging import SimulatedStaging
from tests.simulation.source_table import SourceTable

MAX_STEPS = 20_000  # a history has a few hundred; one that does not end is a violation
KEYS = 24


@dataclass
class Result:
    seed: int
    violation: str | None
    fault_counts: Counter[str]
    outcomes: Counter[str]
    commits: int
    rows: int
    steps: int


class History:
    def __init__(self, seed: int, *, is_traced: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.faults = FaultInjector.draw(self.random)
        self.scheduler = Scheduler(self.random, is_traced=is_traced)
        self.write = self.random.choice(["upsert", "upsert", "append", "replace"])
        lookback = self.random.choice([0, 0, 6]) if self.write == "upsert" else 0
        self.table = SourceTable(self.random, self.random.randint(1, 3), lookback)
        if self.random.random() < 0.2:
            self.table.bad = frozenset(self.random.sample(range(KEYS), 3))
        self.checker = InvariantChecker(self.table)
        is_mapped = self.write == "upsert" and self.random.random() < 0.4
        refused = frozenset(key for key in sorted(self.table.bad) if self.random.random() < 0.5)
        self.server = SinkServer(self.write, self.checker, is_mapped, refused)
        self.checker.has_row = self.server.has_row
        self.kv = SimulatedKv(self.scheduler, self.faults, self.checker)
        self.staging = SimulatedStaging(self.scheduler, self.faults)
        self.unit_writer = SimulatedUnitWriter(self.server, self.scheduler, self.faults, self.staging)
        self.runs: list[SimulatedRun] = []
        self.operators: list[Process] = []
        self.must_load_again = False
        self.configure()
        for key in range(self.random.choice([0, 3, 10, KEYS])):
            self.table.write(key)
        while self.table.open:
            self.table.end_one()

    def configure(self) -> None:
        """Draws the configuration, which an operator may change between two runs, or while one runs."""
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

    # --- events around the runs

    def start_run(self) -> SimulatedRun:
        number = len(self.runs) + 1
        skew = self.random.choice([0.0, 0.0, -45.0, 45.0]) if not self.faults.is_disabled else 0.0
        run = SimulatedRun(
            f"run-{number}",
            number,
            lambda: self.scheduler.now + skew,
            self.scheduler,
            self.faults,
            self.checker,
            self.kv,
            self.staging,
            self.unit_writer,
            IntegerStrategy(self.table, self.write, self.width, self.table.lookback, self.reads_ahead),
            self.limits,
        )
        self.runs.append(run)
        run.start()
        return run

    def active(self) -> list[SimulatedRun]:
        return [run for run in self.runs if run.is_running]

    def inject_event(self) -> None:
        """Sometimes changes the source, and sometimes injects a fault into a run."""
        active = self.active()
        if self.random.random() < 0.08:
            self._change_source()
        if not active:
            return
        run = self.random.choice(active)
        if self.random.random() < 0.05:
            self._inject_fault(run)

    def _change_source(self) -> None:
        key = self.random.randrange(KEYS)
        draw = self.random.random()
        if draw < 0.7:
            self.table.write(key)
        elif draw < 0.9:
            self.table.end_one()
        else:
            self.table.delete(key)

    def _inject_fault(self, run: SimulatedRun) -> None:
        if self.faults.occurs("killed: run"):
            run.kill()
        elif self.faults.occurs("suspended"):
            self._suspend(run)
        elif self.faults.occurs("stop asked"):
            run.is_stopping = True
        elif self.faults.occurs("configuration changed"):
            self.configure()
        elif self.faults.occurs("second run"):
            self.start_run()
        elif self.faults.occurs("store restored"):
            self._end_everything()
            self.kv.lose_writes(self.random.choice([1, 3, 10, 40, 1_000]))
        elif self.server.copies and self.faults.occurs("sink restored"):
            self._end_everything()
            self.unit_writer.lose_requests()
            copies = self.server.copies[-self.random.choice([1, 3, 1_000]) :]
            self.server.restore(self.random.choice([*copies, SinkCopy.of(self.server)]))
        elif self.faults.occurs("reset"):
            self._operate(self._reset)

    def _suspend(self, run: SimulatedRun) -> None:
        """Suspends all of a run or one process of it, for a moment or past its lease; another run may start meanwhile."""
        seconds = self.random.choice([5.0, TTL_S + 5, 3 * TTL_S])
        victims = run.all_processes if self.random.random() < 0.5 else [self.random.choice(run.all_processes)]
        for process in victims:
            process.frozen_until = self.scheduler.now + seconds
        if seconds > TTL_S and self.random.random() < 0.5:
            self.scheduler.spawn(Process("operator"), lambda: self._start_later(seconds - 5.0))

    def _start_later(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)
        if not self.faults.is_disabled:
            self.start_run()

    def _end_everything(self) -> None:
        """A store and a sink are restored while no process lives that knows what was there before."""
        for run in self.runs:
            for process in run.all_processes:
                self.scheduler.kill(process)
            if run.is_running:
                run.kill()
        for operator in self.operators:
            self.scheduler.kill(operator)

    def _operate(self, work: Callable[[], None]) -> None:
        self.operators.append(Process("operator"))
        self.scheduler.spawn(self.operators[-1], work)

    def _return_to_sink(self) -> None:
        """Does what the hint of the refusal says. Where the history does not reach that far: loads again."""
        owner = Owner(host="elsewhere", pid=0, started="-")
        try:
            state = StateWriter.begin(self.kv, UNIT, "person", owner, lambda: self.scheduler.now)
        except IngestError as error:
            self.faults.fault_counts[f"return refused: {error.code}"] += 1
            return
        state.lease._lock = CooperativeLock(self.scheduler)  # type: ignore[assignment]
        try:
            return_to_sink(state, self.unit_writer, self.unit_writer.read_progress())  # type: ignore[arg-type]
            self.faults.fault_counts["went back to the sink"] += 1
        except (HistoryTooShort, StateBehindSink) as error:
            self.faults.fault_counts[f"return refused: {error.code}"] += 1
            self.must_load_again = True
        except IngestError as error:
            self.faults.fault_counts[f"return failed: {error.code}"] += 1
        finally:
            with suppress(IngestError):
                state.end()

    def _reset(self) -> None:
        try:
            reset_state(self.kv, UNIT, Owner(host="elsewhere", pid=0, started="-"), lambda: self.scheduler.now)
            self.faults.fault_counts["reset done"] += 1
        except IngestError as error:
            self.faults.fault_counts[f"reset refused: {error.code}"] += 1

    # --- the history

    def play(self) -> Result:
        violation = None
        kept = commit_history.KEPT_COMMITS
        try:
            commit_history.KEPT_COMMITS = self.random.choice([2, kept])
            self._faulty_phase()
            self._quiet_phase()
        except Violation as error:
            violation = str(error)
        except Exception as error:
            violation = f"{type(error).__name__}: {error}"
            if self.scheduler.is_traced:
                raise
        finally:
            commit_history.KEPT_COMMITS = kept
        self.scheduler.close()
        if self.checker.violations:
            violation = self.checker.violations[0]
        return Result(
            self.seed,
            violation,
            self.faults.fault_counts,
            Counter(run.outcome for run in self.runs),
            self.server.sequence,
            len(self.table.rows),
            self.scheduler.steps,
        )

    def _faulty_phase(self) -> None:
        wanted = self.random.randint(1, 4)
        while len(self.runs) < wanted + 8:
            if not self.active():
                ended = [run for run in self.runs if run.outcome != "refused"]
                if len(ended) >= wanted:
                    break
                self.start_run()
            self._step()
            if "--to-sink" in self.runs[-1].hint and not self.active() and self.random.random() < 0.5:
                self.runs[-1].hint = ""
                self._operate(self._return_to_sink)
            if self.runs[-1].outcome == "refused":
                self.scheduler.now += self.random.choice([1.0, TTL_S])

    def _step(self) -> None:
        if not self.faults.is_disabled:
            self.inject_event()
        if not self.scheduler.step():
            self.scheduler.now += TTL_S
        if self.scheduler.steps > MAX_STEPS:
            raise Violation("the history does not end")
        if self.checker.violations:
            raise Violation(self.checker.violations[0])

    def _quiet_phase(self) -> None:
        """Ends all faults. Zombies are killed, or continue to their end; then a run must succeed, and the next one, too."""
        self.faults.is_disabled = True
        while self.table.open:
            self.table.end_one()
        if self.random.random() < 0.5:
            for run in self.active():
                run.kill()
            for operator in self.operators:
                self.scheduler.kill(operator)
            self._finish(tries=1)
        else:
            self._finish(tries=8)
        self._play_to_end()
        self._finish(tries=1)
        self.checker.check_final_rows(self.write, self.server.shown, self.server.newest)
        self._check_state()

    def _finish(self, tries: int) -> None:
        """Starts runs until one succeeds. A run that was refused because another one is alive does not count as a try."""
        faults = []
        while len(faults) < tries:
            run = self.start_run()
            while run.is_running:
                self._step()
            if run.outcome == RunState.SUCCEEDED.value:
                return
            if run.outcome == "refused":
                self.scheduler.now += TTL_S / 2
            elif "would double" in run.fault or self.must_load_again:
                self._load_again()
            elif "--to-sink" in run.hint:
                self._operate(self._return_to_sink)
                self._play_to_end()
            elif "do not fit" in run.fault or "are in quarantine" in run.fault:
                self._mend_source()
            else:
                faults.append(run.fault or run.outcome)
        raise Violation(f"no run succeeds without faults: {faults}")

    def _mend_source(self) -> None:
        """Writes a row that fits, because no row did."""
        self.faults.fault_counts["no row fits"] += 1
        self.table.write(next(key for key in range(KEYS) if key not in self.table.bad))
        while self.table.open:
            self.table.end_one()

    def _load_again(self) -> None:
        """Does what the hint of the refusal says: resets the unit and empties its table."""
        self.faults.fault_counts["loaded again"] += 1
        self.must_load_again = False
        self._operate(self._reset)
        self._play_to_end()
        self.server.truncate()

    def _play_to_end(self) -> None:
        while self.scheduler.step():
            if self.scheduler.steps > MAX_STEPS:
                raise Violation("the history does not end")

    def _check_state(self) -> None:
        lease = self.kv.peek(lease_key(UNIT))
        if lease is None or not lease[0]["is_released"]:
            raise Violation("the lease of the last run was not released")
        self.faults.is_disabled = True
        state = read_states(self.kv, UNIT)
        if state.has_intent:
            raise Violation(f"an intent is left: {self.kv.peek(intent_key(UNIT))}")
        if self.write == "replace":
            return
        for segment in state.segments.values():
            if segment.watermark is None or int(segment.watermark[0]) != self.table.horizon:
                raise Violation(f"the watermark of segment {segment.segment} is {segment.watermark} at the end")
