"""Leases that are left or unknown, and the logs that sources keep for units."""

from datetime import UTC, datetime

from ingest_ray.catalog import run_records, unit_configs
from ingest_ray.kv.keys import unit_of
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.observations import observe_log
from ingest_ray.service.runs.change_log import read_unit_log
from ingest_ray.service.upkeep.checks.found import Found
from ingest_ray.state.documents import LeaseDocument, parsed
from ingest_ray.state.lease import describe, is_live


def check_leases(installation: Installation) -> Found:
    """A lease that expired was never released; one that is held by a run that the catalog does not know may be of another catalog."""
    with installation.catalog.read() as connection:
        running = {record.summary.run_id for record in run_records.running(connection)}
    for key, value, _ in installation.kv.scan("ingest::"):
        unit = unit_of(key)
        if unit is None or not key.endswith("::lease"):
            continue
        lease, name = parsed(LeaseDocument, key, value), UnitRef(unit[1], unit[2])
        if is_live(lease) and lease.run_id not in running:
            if _is_known(installation, lease.run_id):
                continue  # it ends just now
            hint = "end that process, or wait for it: no other run of the unit can begin"
            yield "warning", f"unit '{name}' is held by a run that the catalog does not know: {describe(lease)}", hint
        elif not is_live(lease) and not lease.is_released:
            at = datetime.fromtimestamp(lease.expires_at, UTC)
            message = (
                f"the lease of run {lease.run_id} of '{name}' was not released, and expired at {at:%Y-%m-%d %H:%M} UTC"
            )
            yield "warning", message, f"ingest-ray run {name.endpoint_id} {name.unit_id}: it takes the unit over"


def _is_known(installation: Installation, run_id: str) -> bool:
    with installation.catalog.read() as connection:
        record = run_records.find(connection, run_id)
    return record is not None and record.summary.state is not RunState.RUNNING


def check_logs(installation: Installation) -> Found:
    """What sources keep of their logs for units in run mode CHANGES, enabled or not."""
    with installation.catalog.read() as connection:
        wanted = [
            item.config.ref for item in unit_configs.listed(connection) if item.config.run_mode is RunMode.CHANGES
        ]
    for ref in wanted:
        command = f"{ref.endpoint_id} {ref.unit_id}"
        try:
            log = read_unit_log(installation, ref)
        except IngestError as error:
            yield "failed", f"the log of '{ref}': {error.message} [{error.code}]", error.hint
            continue
        seen = observe_log(log, installation.settings.alerts.max_retained_mb)
        if log.error is not None:
            yield "failed", f"the log of '{ref}': {log.error.message} [{log.error.code}]", log.error.hint
        elif log.state == "lost":
            yield "failed", f"the log of '{ref}' is lost [E_LOG_GONE]", f"ingest-ray reset {command}, then run it"
        elif seen is not None and seen.is_present:
            hint = f"ingest-ray run {command}; or ingest-ray changes drop {command} lets the log go"
            yield "warning", f"the source keeps {seen.count} MB of its log for '{ref}'", hint
