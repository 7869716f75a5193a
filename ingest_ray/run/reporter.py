"""Collects counts, phases and errors of a run over all its attempts, and reports progress and a summary."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from ingest_ray.core.ledger import Ledger
from ingest_ray.core.messages import Fault
from ingest_ray.core.positions import display_value
from ingest_ray.engine.executor import Executor
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.sdk.types import (
    Horizon,
    Learned,
    ModelCounts,
    RowCounts,
    RunFault,
    RunMode,
    RunState,
    RunSummary,
    SegmentState,
    SliceCounts,
)

Phase = Literal["planning", "reading", "committing", "done"]
WAIT_NOTED_S = 7.0  # waiting readers report every five seconds
MIN_SAMPLE_ROWS = 1_000  # the average over fewer rows does not predict the size of the others


class RunReporter:
    def __init__(self, order: RunOrder, observe: Callable[[Progress], None]) -> None:
        self._order = order
        self._observe = observe
        self._started = time.monotonic()
        self._started_at = datetime.now(UTC)
        self._rows = RowCounts()
        self._models: dict[str, ModelCounts] = {}
        self._slices = SliceCounts()
        self._bytes = 0
        self._points = 0
        self._retries = 0
        self._phases: dict[str, float] = {}
        self._ledger: Ledger | None = None
        self._plan_summary: PlanSummary | None = None
        self._executor: Executor | None = None
        self._shown = RowCounts()
        self._waiting: tuple[float, str] | None = None
        self._lock = threading.Lock()

    def note_wait(self, seconds: float, text: str) -> None:
        """Reports that requests wait: called by readers, every few seconds while they do."""
        self._waiting = (time.monotonic(), text)
        self.report()

    @property
    def _waiting_text(self) -> str | None:
        noted = self._waiting
        return noted[1] if noted is not None and time.monotonic() - noted[0] < WAIT_NOTED_S else None

    def begin_attempt(self, ledger: Ledger, plan_summary: PlanSummary, executor: Executor) -> None:
        self._ledger, self._plan_summary, self._executor = ledger, plan_summary, executor
        self._shown = RowCounts()

    def end_attempt(self, seconds: Mapping[str, float], points: int = 0) -> None:
        """`points`: what reading cost of the source's quota."""
        assert self._ledger is not None
        self._points += points
        self._rows, self._slices, self._bytes = self._totals(self._ledger)
        self._retries += self._ledger.retries
        for name, counts in self._ledger.models.items():
            self._models[name] = self._models.get(name, ModelCounts()).plus(counts)
        for phase, spent in seconds.items():
            self._phases[phase] = round(self._phases.get(phase, 0.0) + spent, 3)
        self._ledger = None

    def note_plan(self, plan_summary: PlanSummary) -> None:
        self._plan_summary = plan_summary

    @property
    def plan_summary(self) -> PlanSummary | None:
        """The plan of the last attempt."""
        return self._plan_summary

    @property
    def replayed_files(self) -> list[str]:
        """URIs of the quarantine files that a replay has read."""
        files = self._plan_summary.facts.get("files") if self._plan_summary else None
        return [str(file) for file in files] if isinstance(files, list) else []

    def report(self, phase: Phase | None = None) -> None:
        """Calls `observe` with the progress so far; without `phase` it is `reading` during an attempt, else `planning`."""
        ledger, plan_summary = self._ledger, self._plan_summary
        rows, slices, size = self._totals(ledger) if ledger else (self._rows, self._slices, self._bytes)
        with self._lock:
            if ledger:
                rows = self._with_open_slices(rows)
            self._observe(
                Progress(
                    run_id=self._order.run_id,
                    endpoint_id=self._order.spec.endpoint.endpoint_id,
                    unit_id=self._order.spec.unit_id,
                    phase=phase or ("reading" if ledger else "planning"),
                    rows=rows,
                    bytes_staged=size,
                    slices=slices,
                    estimated_rows=plan_summary.estimated_rows if plan_summary else None,
                    estimated_bytes=plan_summary.estimated_bytes if plan_summary else None,
                    seconds=time.monotonic() - self._started,
                    waiting=self._waiting_text if phase != "done" else None,
                )
            )

    def _with_open_slices(self, rows: RowCounts) -> RowCounts:
        """Adds what readers have read of slices that are not staged yet. The rows of an attempt that failed stay until others make up for them."""
        read, staged = self._executor.rows_being_read() if self._executor else (0, 0)
        counts = {
            "read": max(rows.read + read, self._shown.read),
            "staged": max(rows.staged + staged, self._shown.staged),
        }
        self._shown = rows.model_copy(update=counts)
        return self._shown

    def learned(self, before: Learned) -> Learned:
        """Measures this run, and keeps what it read too few rows to measure. What a full run cost is exact however few its rows are."""
        read_s, read, found = self._phases.get("read", 0.0), self._rows.read, dict[str, float | int]()
        is_full = self._order.spec.config.run_mode is RunMode.FULL
        is_sample = self._rows.staged >= MIN_SAMPLE_ROWS and read_s > 0
        if is_sample:
            found = {
                "bytes_per_row": round(self._bytes / self._rows.staged, 1),
                "rows_per_second": round(read / read_s, 1),
            }
        if self._points and read and (is_full or is_sample):
            found["points_per_row"] = round(self._points / read, 4)
        if is_full and read and (is_sample or self._points):
            found["whole_rows"] = read
        return before.model_copy(update=found)

    def summary(
        self, state: RunState, fault: Fault | None, segments: Mapping[str, SegmentState], location: str | None
    ) -> RunSummary:
        plan_summary = self._plan_summary
        horizon: Horizon | None = plan_summary.horizon if plan_summary else None
        return RunSummary(
            run_id=self._order.run_id,
            endpoint_id=self._order.spec.endpoint.endpoint_id,
            unit_id=self._order.spec.unit_id,
            sink_id=self._order.spec.config.sink_id,
            state=state,
            rows=self._rows,
            models=self._models,
            bytes_staged=self._bytes,
            slices=self._slices,
            watermarks={name: display_value(segment.watermark) for name, segment in sorted(segments.items())},
            target=location,
            strategy=plan_summary.strategy if plan_summary else None,
            horizon=horizon,
            phases=self._phases,
            retries=self._retries,
            seconds=round(time.monotonic() - self._started, 3),
            started_at=self._started_at,
            finished_at=datetime.now(UTC),
            executor=self._executor.name if self._executor else None,
            error=RunFault(code=fault.code, message=fault.message, hint=fault.hint) if fault else None,
        )

    def _totals(self, ledger: Ledger) -> tuple[RowCounts, SliceCounts, int]:
        return self._rows.plus(ledger.rows), self._slices.plus(ledger.slices), self._bytes + ledger.bytes_staged
