"""Whether the numbers of each sink agree with those of the state: a restored copy of one of them is found before a run is."""

from ingest_ray.catalog import unit_configs
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.errors import ConfigError, GateError, IngestError, SourceChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.upkeep.checks.found import Found
from ingest_ray.state import UnitState, read_states


def check_sinks(installation: Installation) -> Found:
    with installation.catalog.read() as connection:
        enabled = [item.config.ref for item in unit_configs.listed(connection) if item.config.enabled]
    launch_catalog = LaunchCatalog(len(enabled))
    for ref in enabled:
        yield from _check_unit(installation, ref, launch_catalog)


def _check_unit(installation: Installation, ref: UnitRef, launch_catalog: LaunchCatalog) -> Found:
    try:
        order = gate(installation, ref, launch_catalog=launch_catalog)
    except (GateError, ConfigError, SourceChanged):
        return  # a unit that cannot run is a finding of `units`
    state = read_states(installation.kv, unit_key_of(order))
    if state.sequence == 0:
        return
    try:
        yield from _compare(order, state)
    except IngestError as error:
        yield "failed", f"unit '{ref}': {error.message} [{error.code}]", error.hint


def _compare(order: RunOrder, state: UnitState) -> Found:
    progress = writer_for(order, staging_for(order)).read_progress()
    if progress is None:
        return
    command = f"{order.spec.endpoint.endpoint_id} {order.spec.unit_id}"
    if progress.is_behind(state.sequence, state.committed_by):
        message = f"unit '{order.ref}': the sink has commit {progress.rows_of}, the state {state.sequence}"
        yield (
            "failed",
            f"{message} [E_SINK_BEHIND_STATE]",
            f"ingest-ray reset {command} --to-sink, or see docs/errors.md",
        )
    elif progress.sequence > state.last_claimed:
        message = f"unit '{order.ref}': the sink has commit {progress.sequence}, the state {state.sequence}"
        yield "failed", f"{message} [E_STATE_BEHIND_SINK]", "bring back the newer state, or see docs/errors.md"
