"""A run in rounds: the product opens the log before each attempt, and moves it on after each round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any, TypeVar

from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.run import change_log
from ingest_ray.run.context import AttemptResult
from ingest_ray.sdk.contracts import LogReader, Probe
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import RunState, Scope
from ingest_ray.state.writer import StateWriter
from tests.simulation.logs.log_checks import LogChecker
from tests.simulation.logs.log_strategy import LogStrategy
from tests.simulation.logs.other_units import OtherUnit
from tests.simulation.run_order import ORDER, UNIT
from tests.simulation.simulated_run import SimulatedRun

T = TypeVar("T")


@dataclass(eq=False)
class LogRun(SimulatedRun):
    def _run_attempts(self) -> None:
        context = self._context
        rounds = change_log.LogRounds(context)
        while True:
            super()._run_attempts()
            ended = self.outcome
            if ended not in set(RunState):
                return
            self.outcome = "running"
            result = AttemptResult(RunState(ended))
            change_log.advance_log(context, result)
            has_more = rounds.has_more(result)
            self.outcome = "running" if has_more else ended
            if not has_more:
                return

    def start(self) -> None:
        """Other units of the same launch: their processes die with this one's."""
        super().start()
        checker, strategy = self.checker, self.strategy
        assert isinstance(checker, LogChecker)
        assert isinstance(strategy, LogStrategy)
        if not checker.others:
            checker.others = [OtherUnit(f"public.other{number}", strategy.spec) for number in (1, 2)]
        for unit in checker.others:
            if self.faults.random.random() < 0.6:
                self.scheduler.spawn(self.driver, partial(self._run_other, unit))

    def _run_other(self, unit: OtherUnit) -> None:
        checker = self.checker
        assert isinstance(checker, LogChecker)
        for _ in range(self.faults.random.choice([1, 3, 8])):
            if not checker.leased.get(unit.unit_id, self.driver).is_alive or unit.unit_id not in checker.leased:
                checker.leased[unit.unit_id] = self.driver  # one run at a time
            if checker.leased[unit.unit_id] is self.driver:
                unit.run(self.strategy, self.scheduler.pause, self._readers, checker.report_violation)
            self.scheduler.sleep(self.faults.random.uniform(0.0, 20.0))
        if checker.leased.get(unit.unit_id) is self.driver:
            del checker.leased[unit.unit_id]

    def _readers(self) -> list[LogReader]:
        return change_log.readers_of(self.kv, UNIT)

    def _before_probe(self, writer: StateWriter) -> None:
        change_log.open_log(self._context, writer.segments)

    @cached_property
    def _context(self) -> Any:
        assert isinstance(self.strategy, LogStrategy)
        order = ORDER.model_copy(update={"run_id": self.run_id, "spec": self.strategy.spec})
        return SimpleNamespace(
            order=order,
            unit_key=UNIT,
            reporter=SimpleNamespace(plan_summary=None),
            is_stopping=lambda: self.is_stopping,
            retry=retry,
        )

    def _note_plan(self, writer: StateWriter, probe: Probe, planned: Sequence[Scope]) -> None:
        until = dict(probe.unchanged_until or {})
        self._context.reporter.plan_summary = PlanSummary(
            strategy="log",
            scopes=tuple(planned),
            log_end=probe.log_end,
            log_upper=probe.log_upper,
            unchanged_until=until,
            history=probe.history,
        )
        if not planned:
            writer.skip_unchanged(until, probe.history)


def retry(request: Callable[[], T]) -> T:
    for _ in range(4):
        try:
            return request()
        except SourceUnavailable:
            continue
    return request()
