"""Freshness of units: when each last succeeded, how old its rows are, and whether it keeps the promise of `policy.fresh_within`.

One statement per table for all units, and no request to the KV but for runs without an end: monitoring asks every few seconds.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from ingest_ray.catalog import run_records, schedule_slots, unit_configs, unit_totals
from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.catalog.unit_totals import UnitTotals
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunState, RunSummary, UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.run_liveness import INTERRUPTED, is_run_alive


class UnitFreshness(Model):
    """Of one enabled or disabled unit, at one moment.

    `as_of`: when the last successful run began: what the source had then is in the sink, as far as the run's horizon. `lag_s`: the
    seconds since then. `newest_row_at`: the highest watermark, where the cursor is a time. `failures_in_row`: of ordinary runs, since the
    last success. `last_run`: the last ordinary run that ended; FAILED where its process is gone. `start_error`: why the last scheduled run
    could not start.
    """

    endpoint_id: str
    unit_id: str
    sink_id: str
    enabled: bool
    state: RunState = RunState.IDLE
    fresh_within_s: int | None = None
    last_success_at: datetime | None = None
    as_of: datetime | None = None
    lag_s: float | None = None
    newest_row_at: datetime | None = None
    newest_row_age_s: float | None = None
    is_late: bool = False
    late_since: datetime | None = None
    failures_in_row: int = 0
    last_run: RunSummary | None = None
    start_error: str | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class MeasuredUnit(Model):
    """`totals`: None before the unit's first run."""

    freshness: UnitFreshness
    totals: UnitTotals | None = None


def read_freshness(
    installation: Installation, endpoint_id: str | None = None, now: datetime | None = None
) -> list[UnitFreshness]:
    """By endpoint and unit."""
    return [unit.freshness for unit in measure_units(installation, endpoint_id, now)]


def measure_units(
    installation: Installation, endpoint_id: str | None = None, now: datetime | None = None
) -> list[MeasuredUnit]:
    """The freshness of configured units, with their totals."""
    with installation.catalog.read() as connection:
        configured = unit_configs.stamped(connection, endpoint_id)
        return _measured(installation, connection, configured, endpoint_id, now)


def find_freshness(installation: Installation, wanted: Collection[UnitRef]) -> dict[UnitRef, UnitFreshness]:
    """Of those units that are configured."""
    found: dict[UnitRef, UnitFreshness] = {}
    for endpoint_id in {unit.endpoint_id for unit in wanted}:
        found |= {unit.ref: unit for unit in read_freshness(installation, endpoint_id) if unit.ref in wanted}
    return found


def _measured(
    installation: Installation,
    connection: sa.Connection,
    configured: Iterable[tuple[Configured, str]],
    endpoint_id: str | None,
    now: datetime | None,
) -> list[MeasuredUnit]:
    totals = unit_totals.listed(connection, endpoint_id)
    slots = schedule_slots.listed(connection, endpoint_id)
    interrupted: dict[tuple[UnitRef, str], RunSummary] = {}
    live: set[tuple[UnitRef, str]] = set()
    for record in run_records.running(connection, endpoint_id):
        key = (record.summary.ref, record.summary.sink_id)
        if is_run_alive(connection, installation, record):
            live.add(key)
        elif record.summary.task == "ingest":
            interrupted[key] = record.summary.model_copy(update={"state": RunState.FAILED, "error": INTERRUPTED})
    moment = now or datetime.now(UTC)
    units = []
    for item, updated_at in configured:
        config = item.config
        key = (config.ref, config.sink_id)
        slot = slots.get(config.ref)
        judged = _Judged(config, updated_at, totals.get(key), interrupted.get(key), key in live, moment)
        error = slot.last_error if slot is not None and config.enabled else None
        units.append(MeasuredUnit(freshness=judged.freshness(error), totals=totals.get(key)))
    return units


class _Judged:
    def __init__(
        self,
        config: UnitConfig,
        updated_at: str,
        totals: UnitTotals | None,
        interrupted: RunSummary | None,
        is_live: bool,
        now: datetime,
    ) -> None:
        self._config, self._totals, self._interrupted = config, totals, interrupted
        self._is_live, self._now = is_live, now
        self._waiting_since = min([updated_at, *([totals.first_started_at] if totals is not None else [])])

    def freshness(self, start_error: str | None) -> UnitFreshness:
        totals, last = self._totals, self._last_run
        newest = _in_zone(totals.newest_row, self._config.policy.cursor_zone) if totals is not None else None
        late_since = self._late_since
        failures = totals.failures_in_row if totals is not None else 0
        return UnitFreshness(
            endpoint_id=self._config.endpoint_id,
            unit_id=self._config.unit_id,
            sink_id=self._config.sink_id,
            enabled=self._config.enabled,
            state=RunState.RUNNING if self._is_live else last.state if last is not None else RunState.IDLE,
            fresh_within_s=self._config.policy.fresh_within,
            last_success_at=_instant(totals.success_at) if totals is not None else None,
            as_of=self._as_of,
            lag_s=self._seconds_since(self._as_of),
            newest_row_at=newest,
            newest_row_age_s=self._seconds_since(newest),
            is_late=late_since is not None,
            late_since=late_since,
            failures_in_row=failures + (self._interrupted is not None),
            last_run=last,
            start_error=start_error,
        )

    @cached_property
    def _as_of(self) -> datetime | None:
        return _instant(self._totals.success_started_at) if self._totals is not None else None

    @property
    def _last_run(self) -> RunSummary | None:
        return self._interrupted or (self._totals.last_run if self._totals is not None else None)

    @property
    def _late_since(self) -> datetime | None:
        """None: in time, or without a promise. A unit that never succeeded is late that long after it was configured, or first run."""
        promised = self._config.policy.fresh_within
        if promised is None or not self._config.enabled:
            return None
        begins = self._as_of or _instant(self._waiting_since)
        assert begins is not None
        due = datetime.fromtimestamp(begins.timestamp() + promised, UTC)
        return due if due < self._now else None

    def _seconds_since(self, moment: datetime | None) -> float | None:
        return None if moment is None else round((self._now - moment).total_seconds(), 3)


def _in_zone(text: str | None, zone: str | None) -> datetime | None:
    """A watermark without a zone is in `zone`, or in UTC."""
    found = _instant(text)
    if found is None or found.tzinfo is not None:
        return found
    return found.replace(tzinfo=ZoneInfo(zone) if zone else UTC)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
