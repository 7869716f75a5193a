"""Starts the units that are due, once per slot for any number of servers.

A slot is claimed in the transaction that writes the record of its run: a server that dies in between has done neither, and one that dies
later leaves a record for another server (`launching.lost_runs`). The unit that is due for the longest time is first. The limit of
concurrent runs is checked in that transaction, too, so it holds for all servers of an installation together.

    refused by the gate         the slot is used up, and the schedule shows why
    a store or cluster is away  the slot stays due, and is tried again after a pause
    limit reached, unit runs    the slot stays due
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from ingest_ray import logs
from ingest_ray.catalog import run_records, schedule_slots, unit_configs
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.catalog.schedule_slots import ScheduleRow
from ingest_ray.core.retry import backoff_s
from ingest_ray.core.schedule import Schedule, ScheduleState, decide, jitter_of, next_due, overdue_since, slot
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import ControlError, IngestError, Recovery, RunActive, StateUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.run_liveness import is_run_alive

log = logging.getLogger(__name__)

TICK_S = 5.0
REQUESTED_BY = "schedule"
MAX_PAUSE_S = 300.0  # between two tries of a slot whose run cannot be started


class ScheduleView(Model):
    """`next_due_at`, `overdue_since`: seconds since 1970. `next_due_at` None: not by interval, or held. `overdue_since`: when the oldest
    slot began that has had no run."""

    next_due_at: int | None = None
    overdue_since: int | None = None
    is_held: bool = False
    held_by: str | None = None
    last_error: str | None = None


class SlotTaken(Exception):
    """Another server has claimed the slot."""


class LimitReached(Exception):
    """As many runs are live as the installation allows."""


@dataclass(frozen=True)
class DueSlot:
    """`since`: when the oldest slot began that has had no run; `before`: the slot that was decided about last."""

    config: UnitConfig
    before: int | None
    due: int
    since: int


@dataclass
class Scheduler:
    """The schedules of one server. `tick` is called by one thread at a time."""

    installation: Installation
    _failures: dict[UnitRef, int] = field(default_factory=dict)
    _not_before: dict[UnitRef, float] = field(default_factory=dict)
    _is_limited: bool = False

    def tick(self, now: float | None = None) -> list[str]:
        """Starts what is due now; returns the ids of the runs. Raises `StateUnavailable` where the catalog does not answer."""
        moment = int(time.time() if now is None else now)
        waiting = self._find_due_slots(moment)
        started: list[str] = []
        for number, due in enumerate(waiting):
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
        self._is_limited = False
        return started

    def _find_due_slots(self, moment: int) -> list[DueSlot]:
        """The slots that need a run, oldest first. Those that need none (held, skipped, the first of a schedule) are passed at once."""
        installation = self.installation
        with installation.catalog.read() as connection:
            wanted = [item.config for item in unit_configs.by_interval(connection)]
            if not wanted:
                return []
            rows = schedule_slots.listed(connection)
            records = run_records.running(connection)
            running = {record.summary.ref for record in records if self._may_be_alive(connection, record)}
        due: list[DueSlot] = []
        passed: list[DueSlot] = []
        for config in wanted:
            row = rows.get(config.ref) or ScheduleRow(endpoint_id=config.endpoint_id, unit_id=config.unit_id)
            known = ScheduleState(row.last_due, is_running=config.ref in running, is_held=row.held_at is not None)
            schedule = schedule_of(installation, config)
            decision = decide(schedule, known, moment)
            if decision.last_due is None or decision.last_due == row.last_due:
                continue
            since = (
                slot(schedule, row.last_due) + schedule.interval_s if row.last_due is not None else decision.last_due
            )
            found = DueSlot(config, row.last_due, decision.last_due, min(since, decision.last_due))
            (due if decision.starts else passed).append(found)
        self._pass(passed)
        due = [slot for slot in due if self._not_before.get(slot.config.ref, 0.0) <= moment]
        return sorted(due, key=lambda slot: (slot.since, str(slot.config.ref)))

    def _may_be_alive(self, connection: sa.Connection, record: RunRecord) -> bool:
        try:
            return is_run_alive(connection, self.installation, record)
        except StateUnavailable:  # of the store with the leases: the slot waits
            return True

    def _pass(self, slots: Collection[DueSlot]) -> None:
        if slots:
            with self.installation.catalog.begin(is_alone=True) as connection:
                for each in slots:
                    schedule_slots.claim(connection, each.config.ref, each.before, each.due)

    def _start(self, due: DueSlot, moment: int) -> str | None:
        unit = due.config.ref
        is_claimed = False

        def claim(connection: sa.Connection) -> None:
            nonlocal is_claimed
            if not schedule_slots.claim(connection, unit, due.before, due.due):
                raise SlotTaken
            self._check_limit(connection)
            is_claimed = True

        try:
            request = RunRequest(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, requested_by=REQUESTED_BY)
            with tracing.span("schedule", {tracing.ENDPOINT: unit.endpoint_id, tracing.UNIT: unit.unit_id}):
                run_id = launcher_for(self.installation).start(self.installation, request, claim)
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
        self._failures.pop(unit, None)
        self._not_before.pop(unit, None)
        return run_id

    def _check_limit(self, connection: sa.Connection) -> None:
        most = self.installation.settings.serve.schedules.max_runs
        records = run_records.running(connection)
        if len(records) < most:
            return
        if sum(is_run_alive(connection, self.installation, record) for record in records) >= most:
            raise LimitReached

    def _note_outage(self, slots: Sequence[DueSlot], error: StateUnavailable, moment: int) -> None:
        reason = logs.scrub(f"{error.message} [{error.code}]")
        units = [each.config.ref for each in slots]
        if not any(unit in self._failures for unit in units):
            log.warning("%d scheduled units could not start, and are tried again: %s", len(units), reason)
        for unit in units:
            self._wait_before(unit, moment)
        with self.installation.catalog.begin() as connection:
            for unit in units:
                schedule_slots.record_start_failure(connection, unit, reason)

    def _note_failure(self, due: DueSlot, error: IngestError, moment: int, *, is_claimed: bool) -> None:
        """A passing fault leaves the slot due: where it was claimed, and no record tells of a run, the claim is undone."""
        unit, reason = due.config.ref, logs.scrub(f"{error.message} [{error.code}]")
        is_passing = is_claimed or isinstance(error, ControlError) or error.recovery is Recovery.RETRY
        log.warning("scheduled unit '%s' could not start: %s", unit, reason)
        if is_passing:
            self._wait_before(unit, moment)
        with self.installation.catalog.begin(is_alone=True) as connection:
            has_run = any(record.summary.ref == unit for record in run_records.running(connection, unit.endpoint_id))
            if is_claimed and not has_run:
                schedule_slots.put_back(connection, unit, due.due, due.before)
            elif not is_passing:
                schedule_slots.claim(connection, unit, due.before, due.due)
            schedule_slots.record_start_failure(connection, unit, reason)

    def _wait_before(self, unit: UnitRef, moment: int) -> None:
        failures = self._failures[unit] = self._failures.get(unit, 0) + 1
        self._not_before[unit] = moment + min(MAX_PAUSE_S, 2 * TICK_S * backoff_s(failures))

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


def start_due_runs(installation: Installation, now: float | None = None) -> list[str]:
    """One look at the schedules by a server that keeps nothing in mind."""
    return Scheduler(installation).tick(now)


def find_schedules(installation: Installation, units: Collection[UnitRef]) -> Mapping[UnitRef, ScheduleRow]:
    """At least those of `units` that have a row."""
    endpoint_ids = {unit.endpoint_id for unit in units}
    with installation.catalog.read() as connection:
        return schedule_slots.listed(connection, endpoint_ids.pop() if len(endpoint_ids) == 1 else None)


class NextRun(Model):
    """`next_due_at`: seconds since 1970; None: the schedule is held."""

    endpoint_id: str
    unit_id: str
    every_minutes: int
    next_due_at: int | None = None
    held_by: str | None = None


def list_next_runs(installation: Installation, within: Collection[str] | None = None) -> list[NextRun]:
    """Of every enabled unit with a schedule, the next first; those that are held come last. `within`: of these endpoints only."""
    with installation.catalog.read() as connection:
        configs = [item.config for item in unit_configs.by_interval(connection)]
        rows = schedule_slots.listed(connection)
    found = []
    for config in configs:
        if within is None or config.endpoint_id in within:
            view = schedule_view(installation, config, rows.get(config.ref))
            found.append(
                NextRun(
                    endpoint_id=config.endpoint_id,
                    unit_id=config.unit_id,
                    every_minutes=config.schedule_interval_minutes or 0,
                    next_due_at=view.next_due_at,
                    held_by=(view.held_by or "a person") if view.is_held else None,
                )
            )
    return sorted(found, key=lambda run: (run.next_due_at is None, run.next_due_at or 0))


def schedule_of(installation: Installation, config: UnitConfig) -> Schedule:
    interval_s = (config.schedule_interval_minutes or 1) * 60
    settings = installation.settings.serve.schedules
    return Schedule(
        interval_s=interval_s,
        jitter_s=jitter_of(config.ref, interval_s, settings.max_jitter_s),
        catch_up=settings.catch_up,
    )


def schedule_view(
    installation: Installation, config: UnitConfig, row: ScheduleRow | None, now: float | None = None
) -> ScheduleView:
    if config.schedule_kind != "INTERVAL":
        return ScheduleView()
    moment = int(time.time() if now is None else now)
    is_held = row is not None and row.held_at is not None
    known = ScheduleState(row.last_due if row is not None else None, is_held=is_held or not config.enabled)
    return ScheduleView(
        overdue_since=overdue_since(schedule_of(installation, config), known, moment),
        next_due_at=None if is_held or not config.enabled else next_due(schedule_of(installation, config), moment),
        is_held=is_held,
        held_by=row.held_by if row is not None else None,
        last_error=row.last_error if row is not None else None,
    )
