"""Sets a unit's watermark by hand: the next run reads everything above it again, and nothing below it."""

import os

from pydantic import JsonValue

from ingest_ray import logs
from ingest_ray.core.positions import display_value
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.recovery import check_sink, open_sink_for, read_sink
from ingest_ray.engine.steps.unit_layout import opened_spec, unit_key_of
from ingest_ray.engine.steps.unit_writer import UnitWriter, writer_for
from ingest_ray.registry import strategy_for
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.contracts import Backfill, capability
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, Position, RunMode
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.gate import SinkChoice, gate
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter


class WatermarkResult(Model):
    """`watermarks`: by segment, in the source's notation."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    watermarks: dict[str, JsonValue]


def set_watermark(
    installation: Installation,
    unit: UnitRef,
    value: str,
    *,
    segment: str | None = None,
    sink_id: str | None = None,
) -> WatermarkResult:
    """Sets the watermark of one segment, or of all. The source interprets the value; unfinished scopes are dropped.

    Raises:
        RunActive: the unit has a live run.
        ConfigError: the unit has no cursor, or the value is not one of the cursor; nothing was changed.
    """
    order = gate(installation, unit, sink=SinkChoice(sink_id=sink_id))
    config = order.spec.config
    if config.run_mode is not RunMode.INCREMENTAL:
        raise ConfigError(f"unit '{unit}' runs {config.run_mode}: it has no watermark")
    if not order.spec.write_mode.merges:
        raise ConfigError(
            f"unit '{unit}' does not upsert, and reading again would double its rows",
            hint="it needs write: upsert, with a key",
        )
    state = StateWriter.begin(
        installation.kv, unit_key_of(order), order.run_id, this_process(os.getpid()), settings=order.settings
    )
    try:
        with logs.context(endpoint=unit.endpoint_id, unit=unit.unit_id):
            found = _positions(order, state, value, segment)
            _settle(state, writer_for(order, staging_for(order)), is_whole=segment is None)
            state.set_watermarks(found, order.spec.policy.cursor)
    finally:
        state.end()
    return WatermarkResult(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        sink_id=config.sink_id,
        watermarks={name: display_value(position) for name, position in found.items()},
    )


def _settle(state: StateWriter, unit_writer: UnitWriter, *, is_whole: bool) -> None:
    """Settles an open intent. A sink that was restored from an earlier copy is accepted where all segments get a watermark."""
    progress = read_sink(state, unit_writer)
    if (
        is_whole
        and progress is not None
        and progress.is_behind(state.claimed_against(progress.sequence), state.committed_by)
    ):
        state.go_back(progress.sequence, progress.rows_of)
    if state.has_intent:
        open_sink_for(state, unit_writer)
    elif state.sequence:
        check_sink(state, unit_writer)


def _positions(order: RunOrder, state: StateWriter, value: str, segment: str | None) -> dict[str, Position]:
    """The position of the value in every segment: the lower bound of a backfill from there."""
    spec = opened_spec(order)
    strategy = strategy_for(spec.endpoint.template)
    backfill = capability(strategy, Backfill)
    with strategy.probe(spec, state.segments) as probe:
        scopes = backfill.between(spec, probe, state.segments, value, None)
    found = {scope.segment: scope.target.lower for scope in scopes if scope.target.lower is not None}
    if segment is not None and segment not in found:
        known = ", ".join(sorted(found)[:20]) or "none"
        raise ConfigError(f"unit '{spec.unit_id}' has no segment '{segment}'", hint=f"segments: {known}")
    wanted = {name: position for name, position in found.items() if segment in (None, name)}
    if not wanted:
        raise ConfigError(f"unit '{spec.unit_id}' has no segment that a watermark could be set for")
    return wanted
