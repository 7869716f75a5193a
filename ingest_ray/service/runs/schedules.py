"""Starts the units that are due, once per slot for any number of servers; comparisons and reconciliations, too.

A slot is claimed in the transaction that writes the record of its run: a server that dies in between has done neither, and one that dies
later leaves a record for another server (`launching.lost_runs`). The unit that is due for the longest time is first. The limit of
concurrent runs is checked in that transaction, too, so it holds for all servers of an installation together.

    refused by the gate         the slot is used up, and the schedule shows why
    a store or cluster is away  the slot stays due, and is tried again after a pause
    limit reached, unit runs    the slot stays due
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from ingest_ray import logs
from ingest_ray.catalog import comparisons, run_records, schedule_slots, unit_configs
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.catalog.schedule_slots import ORDINARY
from ingest_ray.core.retry import backoff_s
from ingest_ray.core.schedule import Schedule, ScheduleState, decide, next_due
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import ControlError, IngestError, Recovery, RunActive, StateUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import DataMode, UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.runs.admission import RunRequest, options_of
from ingest_ray.service.runs.run_liveness import is_run_alive
from ingest_ray.service.runs.schedule_views import schedules_of
from ingest_ray.service.runs.verification import start_comparison

log = logging.getLogger(__name__)

TICK_S = 5.0
REQUESTED_BY = "schedule"
MAX_PAUSE_S = 300.0  # between two tries of a slot whose run cannot be started


class SlotTaken(Exception):
    """Another server has claimed the slot."""


class LimitReached(Exception):
    """As many runs are live as the installation allows."""


@dataclass(frozen=True)
class DueSlot:
    """`since`: when the oldest slot began that has had no run; `before`: the slot that was decided about last."""

    config: UnitConfig
    task: str
    before: int | None
    due: int
    since: int

    @property
    def key(self) -> tuple[UnitRef, str]:
        return self.config.ref, self.task


@dataclass
class Scheduler:
    """The schedules of one server. `tick` is called by one thread at a time."""

    installation: Installation
    _failures: dict[tuple[UnitRef, str], int] = field(default_factory=dict)
    _not_before: dict[tuple[UnitRef, str], float] = field(default_factory=dict)
    _is_limited: bool = False

    def tick(self, now: float | None = None) -> list[str]:
        """Starts what is due now; returns the ids of the runs. Raises `StateUnavailable` where the catalog does not answer."""
        moment = int(time.time() if now is None else now)
        waiting = self._find_due_slots(moment)
        started: list[str] = []
        begun: set[UnitRef] = set()
        for number, due in enumerate(waiting):
            if (
                due.task != "verify" and due.config.ref in begun
            ):  # its next task waits for the run that this look started
                continue
            try:
                run_id = self._start(due, moment)
            except LimitReached:
                self._tell_limit(waiting[number:], moment)
                return started
            except StateUnavailable as error:  # it concerns all of them
                self._note_outage(waiting[number:], error, moment)
                return started
            if run_id is not None:
                started.append(run_id)
                if due.task != "verify":
                    begun.add(due.config.ref)
        self._is_limited = False
        return started

    def _find_due_slots(self, moment: int) -> list[DueSlot]:
        """The slots that need a run, oldest first. Those that need none (held, skipped, the first of a schedule) are passed at once."""
        installation = self.installation
        with installation.catalog.read() as connection:
            wanted = [item.config for item in unit_configs.scheduled(connection)]
            if not wanted:
                return []
            rows = schedule_slots.listed(connection)
            task_rows = schedule_slots.listed_tasks(connection)
            busy = {
                is_comparison: {record.summary.ref for record in records if self._may_be_alive(connection, record)}
                for is_comparison, records in (
                    (False, run_records.running(connection)),
                    (True, comparisons.running(connection)),
                )
            }
        due: list[DueSlot] = []
        passed: list[DueSlot] = []
        for config in wanted:
            own = rows.get(config.ref)
            is_held = own is not None and own.held_at is not None
            for task, schedule in schedules_of(installation, config).items():
                row = own if task == ORDINARY else task_rows.get((config.ref, task))
                is_running = config.ref in busy[task == "verify"]
                state = ScheduleState(row.last_due if row is not None else None, is_running, is_held)
                decision = decide(schedule, state, moment)
                if decision.last_due is None or decision.last_due == state.last_due:
                    continue
                found = _due_slot(config, task, schedule, state.last_due, decision.last_due)
                (due if decision.starts else passed).append(found)
        self._pass(passed)
        due = [slot for slot in due if self._not_before.get(slot.key, 0.0) <= moment]
        return sorted(due, key=lambda slot: (slot.since, str(slot.config.ref), slot.task))

    def _may_be_alive(self, connection: sa.Connection, record: RunRecord) -> bool:
        try:
            return is_run_alive(connection, self.installation, record)
        except StateUnavailable:  # of the store with the leases: the slot waits
            return True

    def _pass(self, slots: Collection[DueSlot]) -> None:
        if slots:
            with self.installation.catalog.begin(is_alone=True) as connection:
                for each in slots:
                    schedule_slots.claim(connection, each.config.ref, each.before, each.due, each.task)

    def _start(self, due: DueSlot, moment: int) -> str | None:
        unit = due.config.ref
        is_claimed = False

        def claim(connection: sa.Connection) -> None:
            nonlocal is_claimed
            if not schedule_slots.claim(connection, unit, due.before, due.due, due.task):
                raise SlotTaken
            if due.task != "verify":  # comparisons have a limit of their own
                self._check_limit(connection)
            is_claimed = True

        try:
            with tracing.span("schedule", {tracing.ENDPOINT: unit.endpoint_id, tracing.UNIT: unit.unit_id}):
                run_id = self._start_task(due, claim)
        except SlotTaken:
            return None
        except RunActive:
            if (
                is_claimed
            ):  # a run that no record tells of, such as a workflow that a person started: it is the run of this slot
                log.warning("scheduled unit '%s' is run by another workflow already", unit)
            return None
        except IngestError as error:
            if isinstance(error, StateUnavailable) and not is_claimed:
                raise
            self._note_failure(due, error, moment, is_claimed=is_claimed)
            return None
        self._failures.pop(due.key, None)
        self._not_before.pop(due.key, None)
        return run_id

    def _start_task(self, due: DueSlot, claim: Callable[[sa.Connection], None]) -> str:
        unit, config = due.config.ref, due.config
        if due.task == "verify":
            options = VerifyOptions(with_values=config.policy.verify_rows and config.mode is not DataMode.CDM)
            return start_comparison(self.installation, unit, options, REQUESTED_BY, claim)
        request = RunRequest(
            endpoint_id=unit.endpoint_id,
            unit_id=unit.unit_id,
            options=options_of(due.task, config),
            requested_by=REQUESTED_BY,
        )
        return launcher_for(self.installation).start(self.installation, request, claim)

    def _check_limit(self, connection: sa.Connection) -> None:
        most = self.installation.settings.serve.schedules.max_runs
        records = run_records.running(connection)
        if len(records) < most:
            return
        if sum(is_run_alive(connection, self.installation, record) for record in records) >= most:
            raise LimitReached

    def _note_outage(self, slots: Sequence[DueSlot], error: StateUnavailable, moment: int) -> None:
        reason = logs.scrub(f"{error.message} [{error.code}]")
        if not any(each.key in self._failures for each in slots):
            log.warning("%d scheduled units could not start, and are tried again: %s", len(slots), reason)
        for each in slots:
            self._wait_before(each, moment)
        with self.installation.catalog.begin() as connection:
            for each in slots:
                schedule_slots.record_start_failure(connection, each.config.ref, reason, each.task)

    def _note_failure(self, due: DueSlot, error: IngestError, moment: int, *, is_claimed: bool) -> None:
        """A passing fault leaves the slot due: where it was claimed, and no record tells of a run, the claim is undone."""
        unit, reason = due.config.ref, logs.scrub(f"{error.message} [{error.code}]")
        is_passing = is_claimed or isinstance(error, ControlError) or error.recovery is Recovery.RETRY
        log.warning("scheduled unit '%s' could not start: %s", unit, reason)
        if is_passing:
            self._wait_before(due, moment)
        with self.installation.catalog.begin(is_alone=True) as connection:
            has_run = any(record.summary.ref == unit for record in run_records.running(connection, unit.endpoint_id))
            if is_claimed and not has_run:
                schedule_slots.put_back(connection, unit, due.due, due.before, due.task)
            elif not is_passing:
                schedule_slots.claim(connection, unit, due.before, due.due, due.task)
            schedule_slots.record_start_failure(connection, unit, reason, due.task)

    def _wait_before(self, due: DueSlot, moment: int) -> None:
        failures = self._failures[due.key] = self._failures.get(due.key, 0) + 1
        self._not_before[due.key] = moment + min(MAX_PAUSE_S, 2 * TICK_S * backoff_s(failures))

    def _tell_limit(self, waiting: list[DueSlot], moment: int) -> None:
        if not self._is_limited:
            log.warning(
                "%d scheduled units wait, '%s' for %d s: serve.schedules.max_runs (%d) runs are live",
                len(waiting),
                waiting[0].config.ref,
                moment - waiting[0].since,
                self.installation.settings.serve.schedules.max_runs,
            )
        self._is_limited = True


def _due_slot(config: UnitConfig, task: str, schedule: Schedule, before: int | None, due: int) -> DueSlot:
    since = next_due(schedule, before) if before is not None else due
    return DueSlot(config, task, before, due, min(since, due))


def start_due_runs(installation: Installation, now: float | None = None) -> list[str]:
    """One look at the schedules by a server that keeps nothing in mind."""
    return Scheduler(installation).tick(now)
