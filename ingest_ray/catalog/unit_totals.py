"""Totals of each unit and sink over all its runs, for monitoring: they cost one row per unit, however many runs there were.

They are written in the transaction that ends a run's record, so that a run counts once, and they outlive the records.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue

from ingest_ray.catalog.tables import runs
from ingest_ray.catalog.tables import unit_totals as t
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunState, RunSummary

TASKS_WITH_ROWS = ("ingest", "backfill", "replay", "remap")


class UnitTotals(Model):
    """Times are ISO 8601. The first six fields after the ids are of ordinary runs only. `last_run`: the last that ended; None where
    its record is deleted."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    first_started_at: str
    success_started_at: str | None = None
    success_at: str | None = None
    newest_row: str | None = None
    failures_in_row: int = 0
    last_run: RunSummary | None = None
    succeeded: int = 0
    failed: int = 0
    paused: int = 0
    rows_read: int = 0
    rows_committed: int = 0
    rows_quarantined: int = 0
    bytes_staged: int = 0
    seconds: float = 0.0

    @property
    def key(self) -> tuple[UnitRef, str]:
        return UnitRef(self.endpoint_id, self.unit_id), self.sink_id


def add_run(connection: sa.Connection, summary: RunSummary, started_at: str) -> None:
    """Counts a run that ends now; its record, which was written at `started_at`, must have had no end."""
    if summary.started_at is not None:  # when it began to read: it may have waited after its record was written
        started_at = summary.started_at.astimezone(UTC).isoformat(timespec="microseconds")
    unit = {"endpoint_id": summary.endpoint_id, "unit_id": summary.unit_id, "sink_id": summary.sink_id}
    is_postgres = connection.dialect.name == "postgresql"
    dialect: Any = import_module(
        f"sqlalchemy.dialects.{'postgresql' if is_postgres else 'sqlite'}"
    )  # only what is used
    connection.execute(dialect.insert(t).values(**unit, first_started_at=started_at).on_conflict_do_nothing())
    changes = {**_counted(summary), **(_judged(summary, started_at) if summary.task == "ingest" else {})}
    is_of_unit = [t.c[name] == value for name, value in unit.items()]
    connection.execute(t.update().where(*is_of_unit).values(**changes))


def _counted(summary: RunSummary) -> dict[str, object]:
    state = {RunState.SUCCEEDED: t.c.succeeded, RunState.FAILED: t.c.failed, RunState.PAUSED: t.c.paused}[summary.state]
    changes: dict[str, object] = {state.name: state + 1, "seconds": t.c.seconds + summary.seconds}
    if summary.task in TASKS_WITH_ROWS:
        changes |= {f"rows_{name}": t.c[f"rows_{name}"] + getattr(summary.rows, name) for name in _ROWS}
        changes["bytes_staged"] = t.c.bytes_staged + summary.bytes_staged
    return changes


_ROWS = ("read", "committed", "quarantined")


def _judged(summary: RunSummary, started_at: str) -> dict[str, object]:
    changes: dict[str, object] = {"last_run_id": summary.run_id}
    newest = newest_watermark(summary.watermarks.values())
    if newest is not None:
        changes["newest_row"] = newest
    if summary.state is RunState.FAILED:
        changes["failures_in_row"] = t.c.failures_in_row + 1
    elif summary.state is RunState.SUCCEEDED:
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        changes |= {"failures_in_row": 0, "success_started_at": started_at, "success_at": at}
    return changes


def newest_watermark(watermarks: Iterable[JsonValue]) -> str | None:
    """The highest of the watermarks that are times, as text; those without a zone are compared as if they were in UTC."""
    times = [(moment, text) for text in watermarks if isinstance(text, str) and (moment := _time_of(text)) is not None]
    return max(times)[1] if times else None


def _time_of(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def listed(connection: sa.Connection, endpoint_id: str | None = None) -> Mapping[tuple[UnitRef, str], UnitTotals]:
    query = sa.select(t, runs.c.document).join(runs, runs.c.run_id == t.c.last_run_id, isouter=True)
    if endpoint_id is not None:
        query = query.where(t.c.endpoint_id == endpoint_id)
    found = [_read(row) for row in connection.execute(query).mappings()]
    return {totals.key: totals for totals in found}


def _read(row: sa.RowMapping) -> UnitTotals:
    document = row["document"]
    last = RunSummary.model_validate_json(document) if document is not None else None
    fields = {name: row[name] for name in UnitTotals.model_fields if name != "last_run"}
    return UnitTotals(**fields, last_run=last)
