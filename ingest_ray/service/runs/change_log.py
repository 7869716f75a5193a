"""The log at the source of a unit in run mode CHANGES: how far it is read, what the source keeps of it, and its removal."""

from ingest_ray.catalog import endpoints, unit_configs
from ingest_ray.kv.keys import unit_key
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import ChangeLog, LogReader, capability
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunFault, RunMode, UnitSpec
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.gate import find_dataset
from ingest_ray.service.units.listing import configured_unit
from ingest_ray.service.units.unit_status import UnitLog
from ingest_ray.state import read_log_readers, read_states
from ingest_ray.state.lease import Lease, this_process
from ingest_ray.state.sealed_secrets import open_source
from ingest_ray.state.unit_state import mark_log_dropped


class DroppedLog(Model):
    endpoint_id: str
    unit_id: str
    dropped: tuple[str, ...]


def list_units_with_log(installation: Installation, endpoint_id: str | None = None) -> list[UnitRef]:
    """The configured units in run mode CHANGES. Raises `EndpointNotFound`."""
    with installation.catalog.read() as connection:
        if endpoint_id is not None:
            endpoints.source(connection, endpoint_id)
        configured = [item.config for item in unit_configs.listed(connection, endpoint_id)]
    return [config.ref for config in configured if config.run_mode is RunMode.CHANGES]


def read_unit_log(installation: Installation, unit: UnitRef) -> UnitLog:
    """Asks the source. An error of the source is in the result.

    Raises:
        UnitNotFound, EndpointNotFound, ModeUnsupported: it has no log.
    """
    spec, vendor = _spec_of(installation, unit)
    log = capability(strategy_for(spec.endpoint.template), ChangeLog)
    known = read_states(installation.kv, unit_key(vendor, unit, spec.config.sink_id)).segments
    most = spec.policy.max_retained_mb
    found = UnitLog(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, max_retained_mb=most)
    try:
        status = log.read_log_status(spec, known)
    except IngestError as error:
        fault = RunFault(code=error.code, message=error.message, hint=error.hint)
        return found.model_copy(update={"state": "unknown", "error": fault})
    return found.model_copy(
        update={
            "name": status.name,
            "state": status.state,
            "position": status.position,
            "end": status.end,
            "lag_bytes": status.lag_bytes,
            "lag_s": status.lag_s,
            "retained_bytes": status.retained_bytes,
        }
    )


def drop_unit_log(installation: Installation, unit: UnitRef) -> DroppedLog:
    """Removes what keeps the log at the source. The next run is refused (E_LOG_GONE) until the unit is reset.

    Raises:
        RunActive: the unit has a live run.
    """
    spec, vendor = _spec_of(installation, unit)
    log = capability(strategy_for(spec.endpoint.template), ChangeLog)
    key, kv = unit_key(vendor, unit, spec.config.sink_id), installation.kv
    lease = Lease.acquire(kv, key, "changes-drop", this_process())
    own = (unit.unit_id, spec.config.sink_id)

    def others() -> list[LogReader]:
        found = read_log_readers(kv, vendor, unit.endpoint_id)
        return [reader for reader in found if (reader.unit_id, reader.sink_id) != own]

    try:
        dropped = log.drop_log(spec, others)
        if dropped:
            mark_log_dropped(kv, key, lease)
    finally:
        lease.release()
    return DroppedLog(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, dropped=tuple(dropped))


def _spec_of(installation: Installation, unit: UnitRef) -> tuple[UnitSpec, str]:
    """The configured unit, enabled or not, with resolved secrets."""
    entry, dataset = find_dataset(installation, unit)
    with installation.catalog.read() as connection:
        config = configured_unit(connection, unit).config
    endpoint = open_source(entry.endpoint, installation.settings)
    return UnitSpec(endpoint=endpoint, dataset=dataset, config=config), entry.vendor
