"""Series of every unit, by endpoint, unit and sink: one healthy unit hides no other that is late."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ingest_ray.catalog.unit_totals import UnitTotals
from ingest_ray.service.monitoring.delivery import AlertState
from ingest_ray.service.monitoring.freshness import MeasuredUnit, UnitFreshness

LABELS = ["endpoint", "unit", "sink"]

Family = GaugeMetricFamily | CounterMetricFamily


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _of_last_run(read: Callable[..., float]) -> Callable[[UnitFreshness], float | None]:
    return lambda unit: None if unit.last_run is None else read(unit.last_run)


def _promise(unit: UnitFreshness) -> float | None:
    return None if unit.fresh_within_s is None or not unit.enabled else float(unit.is_late)


GAUGES: tuple[tuple[str, str, Callable[[UnitFreshness], float | None]], ...] = (
    ("ingest_unit_enabled", "1 where the unit is enabled", lambda unit: float(unit.enabled)),
    ("ingest_unit_running", "1 while a run of the unit goes on", lambda unit: float(unit.state == "RUNNING")),
    (
        "ingest_unit_last_success_timestamp_seconds",
        "When an ordinary run of the unit last succeeded",
        lambda unit: _seconds(unit.last_success_at),
    ),
    ("ingest_unit_lag_seconds", "Seconds since the last successful run began", lambda unit: unit.lag_s),
    (
        "ingest_unit_newest_row_timestamp_seconds",
        "The highest watermark, where the cursor is a time",
        lambda unit: _seconds(unit.newest_row_at),
    ),
    ("ingest_unit_newest_row_age_seconds", "The age of the highest watermark", lambda unit: unit.newest_row_age_s),
    ("ingest_unit_fresh_within_seconds", "The promise policy.fresh_within", lambda unit: unit.fresh_within_s),
    ("ingest_unit_late", "1 where an enabled unit breaks its promise", _promise),
    ("ingest_unit_failures_in_row", "Failed runs since the last success", lambda unit: unit.failures_in_row),
    (
        "ingest_unit_start_refused",
        "1 where the last scheduled run could not start",
        lambda unit: float(unit.start_error is not None),
    ),
    ("ingest_unit_last_run_failed", "1 where it failed", _of_last_run(lambda run: float(run.state == "FAILED"))),
    ("ingest_unit_last_run_seconds", "How long it took", _of_last_run(lambda run: run.seconds)),
    ("ingest_unit_last_run_bytes", "Bytes that it staged", _of_last_run(lambda run: run.bytes_staged)),
    ("ingest_unit_last_run_rows_read", "Rows that it read", _of_last_run(lambda run: run.rows.read)),
    ("ingest_unit_last_run_rows_committed", "Rows that it committed", _of_last_run(lambda run: run.rows.committed)),
    (
        "ingest_unit_last_run_rows_quarantined",
        "Rows that it put into quarantine",
        _of_last_run(lambda run: run.rows.quarantined),
    ),
)

COUNTERS: tuple[tuple[str, str, Callable[[UnitTotals], float]], ...] = (
    ("ingest_unit_rows_read", "Rows that runs read", lambda totals: totals.rows_read),
    ("ingest_unit_rows_committed", "Rows that runs committed", lambda totals: totals.rows_committed),
    ("ingest_unit_rows_quarantined", "Rows that runs put into quarantine", lambda totals: totals.rows_quarantined),
    ("ingest_unit_bytes_staged", "Bytes that runs staged", lambda totals: totals.bytes_staged),
    ("ingest_unit_run_seconds", "Seconds that runs took", lambda totals: totals.seconds),
)


def unit_families(units: list[MeasuredUnit]) -> Iterator[Family]:
    for name, text, read in GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=LABELS)
        for unit in units:
            value = read(unit.freshness)
            if value is not None:
                gauge.add_metric(labels_of(unit), value)
        yield gauge
    for name, text, count in COUNTERS:
        counter = CounterMetricFamily(name, text, labels=LABELS)
        for unit in units:
            counter.add_metric(labels_of(unit), count(unit.totals) if unit.totals is not None else 0)
        yield counter
    runs = CounterMetricFamily("ingest_unit_runs", "Runs that ended, of every task", labels=[*LABELS, "state"])
    for unit in units:
        for state in ("succeeded", "failed", "paused"):
            runs.add_metric([*labels_of(unit), state], getattr(unit.totals, state) if unit.totals is not None else 0)
    yield runs


def alert_families(state: AlertState) -> Iterator[GaugeMetricFamily]:
    open_ = GaugeMetricFamily("ingest_incidents_open", "Open incidents", labels=["condition", "endpoint"])
    for key, count in Counter((found.condition, found.endpoint_id) for found in state.incidents).items():
        open_.add_metric(list(key), count)
    yield open_
    messages = GaugeMetricFamily("ingest_alert_messages", "Messages that are not delivered", labels=["state"])
    messages.add_metric(["waiting"], state.waiting)
    messages.add_metric(["dead"], state.dead)
    yield messages


def labels_of(unit: MeasuredUnit) -> list[str]:
    found = unit.freshness
    return [found.endpoint_id, found.unit_id, found.sink_id]


def scrape_seconds(began: float) -> GaugeMetricFamily:
    """`began`: by the monotonic clock."""
    spent = GaugeMetricFamily("ingest_scrape_seconds", "How long the catalog was read for this scrape")
    spent.add_metric([], time.monotonic() - began)
    return spent
