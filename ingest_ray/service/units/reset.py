"""Forgets a unit's checkpoint, or moves it back to what its sink has. Rows in the sink stay where they are."""

from ingest_ray import logs
from ingest_ray.catalog import accepted_schema, endpoints
from ingest_ray.engine.steps.recovery import read_sink, return_to_sink
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv.keys import unit_key
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.errors import ConfigError, GateError, SourceChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, WriteMode
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import end_dead_runs
from ingest_ray.service.units.gate import SinkChoice, gate
from ingest_ray.service.units.listing import configured_unit
from ingest_ray.state import reset_state
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter


class ResetResult(Model):
    endpoint_id: str
    unit_id: str
    sink_id: str
    segments: int
    warning: str | None = None
    """What follows from the reset of a unit that appends."""


def configured_sink_id(installation: Installation, unit: UnitRef) -> str:
    """Raises `EndpointNotFound`, `UnitNotFound`."""
    with installation.catalog.read() as connection:
        return configured_unit(connection, unit).config.sink_id


def append_warning(installation: Installation, unit: UnitRef, sink_id: str | None = None) -> str | None:
    """What a person must know before the reset of a unit that appends; None for others."""
    try:
        spec = gate(installation, unit, sink=SinkChoice(sink_id=sink_id)).spec
    except (GateError, ConfigError, SourceChanged):  # it cannot run at all
        return None
    if spec.write_mode is not WriteMode.APPEND:
        return None
    return f"unit '{unit}' appends: its next run is refused until its table in sink '{spec.config.sink_id}' is empty"


def reset(installation: Installation, unit: UnitRef, sink_id: str | None = None) -> ResetResult:
    """`sink_id` None: the configured sink. Raises `RunActive` while the unit runs."""
    sink_id = sink_id or configured_sink_id(installation, unit)
    with installation.catalog.read() as connection:
        vendor = endpoints.source(connection, unit.endpoint_id).vendor
    forgotten = reset_state(installation.kv, unit_key(vendor, unit, sink_id))
    with installation.catalog.begin() as connection:
        accepted_schema.forget(connection, unit, sink_id)
    end_dead_runs(installation, unit, sink_id)
    return ResetResult(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        sink_id=sink_id,
        segments=forgotten,
        warning=append_warning(installation, unit, sink_id),
    )


class ReturnResult(Model):
    """`before`, `sequence`: the last commits of the checkpoint before and now. `lost_tasks`: what the forgotten commits were for that no
    run repeats by itself, such as `backfill` or `replay`."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    before: int
    sequence: int
    is_changed: bool
    lost_tasks: tuple[str, ...] = ()


def return_checkpoint(installation: Installation, unit: UnitRef, sink_id: str | None = None) -> ReturnResult:
    """The next run reads what the sink lost, and nothing else.

    Raises:
        RunActive: the unit has a live run.
        ConfigError: the sink does not tell its number, or the unit replaces its rows.
        HistoryTooShort: the checkpoint does not keep what it was at the sink's commit; nothing was changed.
        StateBehindSink: the sink has other commits than the checkpoint, and the unit appends; nothing was changed.
    """
    order = gate(installation, unit, sink=SinkChoice(sink_id=sink_id))
    if order.spec.write_mode is WriteMode.REPLACE:
        raise ConfigError(
            f"unit '{unit}' replaces its rows: nothing to go back to", hint="run it: it loads everything anew"
        )
    unit_writer = writer_for(order, staging_for(order))
    state = StateWriter.begin(
        installation.kv, unit_key_of(order), order.run_id, this_process(), settings=order.settings
    )
    try:
        with logs.context(endpoint=unit.endpoint_id, unit=unit.unit_id):
            progress = read_sink(state, unit_writer)
            if progress is None:
                raise ConfigError(
                    f"sink '{order.spec.config.sink_id}' does not tell which commits it has",
                    hint="forget the checkpoint with `ingest-ray reset` and load again",
                )
            found = return_to_sink(state, unit_writer, progress)
    finally:
        state.end()
    return ReturnResult(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        sink_id=order.spec.config.sink_id,
        before=found.before,
        sequence=found.sequence,
        is_changed=found.is_changed,
        lost_tasks=tuple(dict.fromkeys(commit.task for commit in found.forgotten if commit.task != "ingest")),
    )
