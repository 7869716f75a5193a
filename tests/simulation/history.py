"""One history of a unit: a phase of faults, a phase without, then the final checks."""

from collections import Counter
from dataclasses import dataclass, replace
from random import Random

from ingest_ray.core.limits import Limits
from ingest_ray.kv.keys import intent_key, lease_key
from ingest_ray.sdk.contracts import KV, LogReader, RowSource
from ingest_ray.sdk.types import RunState
from ingest_ray.state import commit_history, read_states
from ingest_ray.state.lease import TTL_S
from tests.simulation.databases.database_table import DatabaseTable
from tests.simulation.databases.maria_server import MariaServer
from tests.simulation.databases.product_seams import simulated_world
from tests.simulation.databases.sink_events import SinkEvents
from tests.simulation.databases.sql_sink_server import SqlSinkServer
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.invariants import InvariantChecker, Violation
from tests.simulation.lakes.lake_events import LakeEvents
from tests.simulation.lakes.object_store import ObjectStore
from tests.simulation.lakes.parquet_sink_server import ParquetSinkServer
from tests.simulation.logs.log_checks import LogChecker
from tests.simulation.logs.log_run import LogRun
from tests.simulation.logs.log_server import LogTable
from tests.simulation.logs.log_sink import LogSinkServer
from tests.simulation.operators import Operators
from tests.simulation.run_order import UNIT
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.simulated_kv import SimulatedKv
from tests.simulation.simulated_run import SimulatedRun
from tests.simulation.simulated_sink import Server, SimulatedUnitWriter, SinkServer
from tests.simulation.simulated_staging import SimulatedStaging
from tests.simulation.worlds import LAKE, LOG, SQL_SINK, WORLDS, draw_table, strategy_of

MAX_STEPS = 20_000  # a history has a few hundred; one that does not end is a violation
KEYS = 24


@dataclass
class Result:
    seed: int
    world: str
    violation: str | None
    fault_counts: Counter[str]
    outcomes: Counter[str]
    commits: int
    rows: int
    steps: int


class History:
    """`world` is drawn from the seed where it is not given."""

    def __init__(self, seed: int, world: str | None = None, *, is_traced: bool = False) -> None:
        self.seed = seed
        self.world = world or Random(f"world of {seed}").choice(WORLDS)
        self.adopts_files = self.world != LOG and Random(f"files in {seed}").random() < 0.4
        self.random = Random(seed)
        self.faults = FaultInjector.draw(self.random)
        self.scheduler = Scheduler(self.random, is_traced=is_traced)
        self.table, self.write = draw_table(self.world, self.random, self.faults)
        self.sink_events: SinkEvents | LakeEvents | None = None
        if self.random.random() < 0.2:
            self.table.bad = frozenset(self.random.sample(range(KEYS), 3)) if self.world != LOG else frozenset()
        self.checker = LogChecker(self.table) if self.world == LOG else InvariantChecker(self.table)
        self.table.on_commit = self.checker.check_source_commit
        is_mapped = self.world != LOG and self.write == "upsert" and self.random.random() < 0.4
        refused = frozenset(key for key in sorted(self.table.bad) if self.random.random() < 0.5)
        self.kv = SimulatedKv(self.scheduler, self.faults, self.checker)
        self.server = self._draw_server(is_mapped, refused)
        self.checker.has_row = self.server.has_row
        self.loses_logs = self.world == LOG and self.random.random() < 0.4
        self.runs: list[SimulatedRun] = []
        self.staging = SimulatedStaging(self.scheduler, self.faults)
        self.unit_writer = SimulatedUnitWriter(self.server, self.scheduler, self.faults, self.staging)
        self.strategies: dict[str, RowSource] = {}
        self.operators = Operators(self.scheduler, self.faults, self.kv, self.unit_writer)
        self.configure()
        for key in range(self.random.choice([0, 3, 10, KEYS])):
            self.table.write(key)
        while self.table.open:
            self.table.end_one()

    def _draw_server(self, is_mapped: bool, refused: frozenset[int]) -> Server:
        if isinstance(self.checker, LogChecker):
            self.checker.server = LogSinkServer(self.write, self.checker, table=self.checker.log)
            self.checker.log.on_slot_moved = self.checker.check_slot
            self.checker.server.adopts_files = self.adopts_files
            return self.checker.server
        if self.world == LAKE:
            lake = ParquetSinkServer(self.write, self.checker, ObjectStore(self.scheduler, self.faults))
            self.sink_events = LakeEvents(self.random, self.faults, self.scheduler, lake, self.kv)
            return lake
        if self.world != SQL_SINK:
            return SinkServer(self.write, self.checker, is_mapped, refused, self.adopts_files and not is_mapped)
        database = MariaServer(self.scheduler, self.faults)
        server = SqlSinkServer(self.write, self.checker, database, is_mapped)
        self.sink_events = SinkEvents(self.random, self.faults, self.scheduler, server, self.table)
        return server

    def configure(self) -> None:
        """Draws the configuration, which an operator may change between two runs, or while one runs."""
        self.width = self.random.randint(1, 6)
        if self.sink_events is not None and self.runs and self.random.random() < 0.3:
            self.sink_events.server.widen()
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
            adopts_files=isinstance(self.server, SinkServer) and self.server.adopts_files,
        )

    # --- events around the runs

    def start_run(self) -> SimulatedRun:
        number = len(self.runs) + 1
        skew = self.random.choice([0.0, 0.0, -45.0, 45.0]) if not self.faults.is_disabled else 0.0
        strategy = strategy_of(
            self.table, self.write, self.scheduler, self.faults, self.width, reads_ahead=self.reads_ahead
        )
        self.strategies[f"run-{number}"] = strategy
        run = (LogRun if self.world == LOG else SimulatedRun)(
            f"run-{number}",
            number,
            lambda: self.scheduler.now + skew,
            self.scheduler,
            self.faults,
            self.checker,
            self.kv,
            self.staging,
            replace(self.unit_writer, run_id=f"run-{number}"),
            strategy,
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
        if self.sink_events is not None and self.random.random() < 0.01:
            self.sink_events.inject(self._end_all_requests)
        if self.loses_logs and isinstance(self.table, LogTable) and self.random.random() < 0.02:
            self.table.inject()
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
        elif draw < 0.93 or not isinstance(self.table, DatabaseTable):
            self.table.delete(key)
        else:
            self.table.change_replication()
            self.table.set_clock_back()

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
            self._restore_sink()
        elif self.faults.occurs("reset"):
            self.operators.start(self.operators.reset)

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
        self.operators.kill()

    def _end_all_requests(self) -> None:
        """Also those that are on their way to the sink."""
        self._end_everything()
        self.unit_writer.lose_requests()
        if self.sink_events is not None:
            self.sink_events.end_others()

    def _restore_sink(self) -> None:
        self._end_all_requests()
        copies = self.server.copies[-self.random.choice([1, 3, 1_000]) :]
        self.server.restore(self.random.choice([*copies, self.server.copy()]))

    # --- the history

    def play(self) -> Result:
        violation = None
        kept = commit_history.KEPT_COMMITS
        seams = simulated_world(
            self.scheduler, self.random, self.kv, self.strategies, self.unit_writer, self._readers_of
        )
        try:
            commit_history.KEPT_COMMITS = self.random.choice([2, kept])
            with seams:
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
            self.world,
            violation,
            self.faults.fault_counts,
            Counter(run.outcome for run in self.runs),
            self.server.sequence,
            len(self.table.rows),
            self.scheduler.steps,
        )

    def _readers_of(self, kv: KV, key: str) -> list[LogReader]:
        """The unit with its checkpoint in the KV, and the others."""
        segments = read_states(kv, key).segments
        others = self.checker.others if isinstance(self.checker, LogChecker) else []
        main = [LogReader("u", "s", segments)] if segments else []
        return main + [unit.reader for unit in others if unit.position is not None]

    def _faulty_phase(self) -> None:
        wanted = self.random.randint(1, 4)
        while len(self.runs) < wanted + 8:
            if not self.active():
                ended = [run for run in self.runs if run.outcome != "refused"]
                if len(ended) >= wanted:
                    break
                if self.sink_events is not None and self.runs and self.random.random() < 0.7:
                    self.sink_events.follow_hint(self.runs[-1].fault)
                self.start_run()
            self._step()
            if "--to-sink" in self.runs[-1].hint and not self.active() and self.random.random() < 0.5:
                self.runs[-1].hint = ""
                self.operators.start(self.operators.return_to_sink)
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
        self.table.settle()
        if self.random.random() < 0.5:
            for run in self.active():
                run.kill()
            self.operators.kill()
            self._finish(tries=1)
        else:
            self._finish(tries=8)
        self._play_to_end()
        self._finish(tries=1)
        if isinstance(self.server, LogSinkServer) and self.server.is_tainted:
            self._load_again()
            self._finish(tries=1)
        self.checker.check_final_rows(self.write, self.server.shown, self.server.newest)
        if isinstance(self.server, ParquetSinkServer):
            self.server.check_readers()
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
                self._end_zombies()
            elif (
                "slot is active" in run.fault or "is being made by another run" in run.fault
            ):  # a process that was suspended makes it, and goes on
                self.scheduler.now += TTL_S
            elif "would double" in run.fault or "the log is gone" in run.fault or self.operators.must_load_again:
                self._load_again()
            elif "--to-sink" in run.hint:
                self.operators.start(self.operators.return_to_sink)
                self._play_to_end()
            elif "do not fit" in run.fault or "are in quarantine" in run.fault:
                self._mend_source()
            elif "no safe horizon" in run.fault and isinstance(self.table, DatabaseTable):
                self.faults.note("source: counter of a replica refused")
                self.table.read_primary()
            elif self.sink_events is not None and self.sink_events.follow_hint(run.fault):
                continue
            else:
                faults.append(run.fault or run.outcome)
        raise Violation(f"no run succeeds without faults: {faults}")

    def _mend_source(self) -> None:
        """Writes a row that fits, because no row did. A replica replays it."""
        self.faults.fault_counts["no row fits"] += 1
        self.table.write(next(key for key in range(KEYS) if key not in self.table.bad))
        self.table.settle()

    def _end_zombies(self) -> None:
        """The processes of a run die at the latest some minutes after its end: a lost state process would renew its lease for ever."""
        if self.random.random() < 0.1:
            for run in self.runs:
                for process in run.all_processes if not run.is_running else []:
                    self.scheduler.kill(process)

    def _load_again(self) -> None:
        """Does what the hint of the refusal says: resets the unit and empties its table."""
        self.faults.fault_counts["loaded again"] += 1
        self.operators.must_load_again = False
        self.operators.start(self.operators.reset)
        self._play_to_end()
        if isinstance(self.server, LogSinkServer):
            self.server.empty_for_a_load()
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
        if self.write == "replace" or isinstance(self.table, DatabaseTable | LogTable):
            return
        for segment in state.segments.values():
            if segment.watermark is None or int(segment.watermark[0]) != self.table.horizon:
                raise Violation(f"the watermark of segment {segment.segment} is {segment.watermark} at the end")
