"""Writes run records, when a run starts and when it ends, and derives the summaries that they hold."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import JsonValue

from ingest_ray import logs
from ingest_ray.catalog import run_channel, run_records
from ingest_ray.engine.reports import ReconcileReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError, RunActive
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RowCounts, RunFault, RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import RunOptions, RunRequest
from ingest_ray.service.runs.run_liveness import INTERRUPTED, is_alive, this_owner
from ingest_ray.state import read_states


def start_records(
    installation: Installation,
    summaries: Sequence[RunSummary],
    orders: Sequence[RunOrder],
    options: RunOptions,
    owner: str | None = None,
    within: Callable[[sa.Connection], None] = lambda _: None,
) -> None:
    """Writes the records of new runs, and ends the records of earlier runs whose process died.

    `owner` None: this process executes the runs. `within` is called in the transaction; where it raises, there are no records.

    Raises:
        RunActive: one of the units has a live run; no record is written then.
    """
    states = {
        (order.ref, order.spec.config.sink_id): read_states(installation.kv, unit_key_of(order)) for order in orders
    }
    with installation.catalog.begin(is_alone=True) as connection:
        for old in run_records.running(connection, orders[0].spec.endpoint.endpoint_id):
            target = (old.summary.ref, old.summary.sink_id)
            if target in states and is_alive(old, states[target]):
                raise RunActive(
                    f"unit '{old.summary.ref}' has a live run: {old.summary.run_id}",
                    hint="wait for it, or stop it first",
                )
            if target in states:
                run_records.finish(connection, failed(old.summary, INTERRUPTED))
        within(connection)
        for summary, order in zip(summaries, orders, strict=True):
            run_records.start(connection, summary, owner or this_owner())
            run_channel.open_channel(connection, summary.run_id, _request_of(summary, order, options).model_dump_json())


def _request_of(summary: RunSummary, order: RunOrder, options: RunOptions) -> RunRequest:
    return RunRequest(
        endpoint_id=summary.endpoint_id,
        unit_id=summary.unit_id,
        sink_id=order.spec.config.sink_id,
        sink_endpoint_id=order.spec.config.sink_endpoint_id,
        options=options,
        requested_by=summary.requested_by,
        trace=tracing.carrier(),
    )


def finish_records(installation: Installation, summaries: Sequence[RunSummary]) -> None:
    with installation.catalog.begin() as connection:
        for summary in summaries:
            run_records.finish(connection, summary)


def started(order: RunOrder, began: datetime, requested_by: str | None = None) -> RunSummary:
    spec = order.spec
    bounds: dict[str, JsonValue] = {"from": order.lower, "to": order.upper}
    return RunSummary(
        run_id=order.run_id,
        endpoint_id=spec.endpoint.endpoint_id,
        unit_id=spec.unit_id,
        sink_id=spec.config.sink_id,
        state=RunState.RUNNING,
        task=order.task,
        facts=bounds if order.task == "backfill" else {},
        started_at=began,
        requested_by=requested_by,
    )


def ended(begun: RunSummary, summary: RunSummary, schema_changes: Sequence[str]) -> RunSummary:
    """The summary of the engine, completed with what the record had from the start."""
    update = {
        "task": begun.task,
        "facts": begun.facts,
        "schema_changes": tuple(schema_changes),
        "requested_by": begun.requested_by,
    }
    return summary.model_copy(update=update)


def failed(summary: RunSummary, fault: RunFault) -> RunSummary:
    if summary.state is not RunState.RUNNING:
        return summary
    return summary.model_copy(update={"state": RunState.FAILED, "error": fault, "finished_at": datetime.now(UTC)})


def refused_summary(unit: UnitRef, error: IngestError) -> RunSummary:
    """Of a unit that was not admitted to a launch: it has no run, so its summary has no id and is not recorded."""
    return RunSummary(
        run_id="",
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        sink_id="",
        state=RunState.FAILED,
        error=fault_of(error),
    )


def paused(summary: RunSummary) -> RunSummary:
    """Units of a stopped launch that never began are paused like the one that was stopped."""
    return summary.model_copy(update={"state": RunState.PAUSED}) if summary.state is RunState.RUNNING else summary


def fault_of(error: IngestError) -> RunFault:
    return RunFault(
        code=error.code, message=logs.scrub(error.message), hint=logs.scrub(error.hint) if error.hint else None
    )


def reconciliation_summary(begun: RunSummary, report: ReconcileReport) -> RunSummary:
    facts: Mapping[str, JsonValue] = report.model_dump(
        mode="json",
        include={
            "keys_at_source",
            "keys_in_sink",
            "missing_in_sink",
            "repaired",
            "missing_at_source",
            "erased",
            "how",
        },
    )
    return begun.model_copy(
        update={
            "state": report.state,
            "facts": dict(facts),
            "rows": RowCounts(committed=report.erased + report.repaired),
            "seconds": report.seconds,
            "error": report.error,
            "finished_at": datetime.now(UTC),
        }
    )
