"""Catalog and state store: that they answer, and what they say about endpoints, units, runs, schedules and alerts."""

import time

from ingest_ray.catalog import endpoints, run_records, schedule_slots, unit_configs
from ingest_ray.catalog.schedule_slots import ORDINARY
from ingest_ray.core.schedule import next_due
from ingest_ray.kv.keys import unit_of
from ingest_ray.sdk.errors import IngestError
from ingest_ray.secrets import follow, is_reference, resolve
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.delivery import read_alert_state
from ingest_ray.service.monitoring.freshness import read_freshness
from ingest_ray.service.runs.run_liveness import is_run_alive
from ingest_ray.service.runs.schedule_views import schedules_of
from ingest_ray.service.units.policies.unfit_units import unfit_units
from ingest_ray.service.upkeep.checks.found import Found
from ingest_ray.state.documents import IntentDocument, parsed

MOST_NAMED = 10
CLOCK_S = 5.0  # leases of other hosts expire by the clock, after 30 s
OVERDUE_S = 900


def check_catalog(installation: Installation) -> Found:
    began = time.monotonic()
    with installation.catalog.read() as connection:
        count = len(endpoints.listed(connection))
    spent = time.monotonic() - began
    if not count:
        yield "warning", "no endpoint is registered", "ingest-ray apply ingest.yaml"
    elif spent > 1.0:
        yield "warning", f"the catalog took {spent:.1f} s to answer", "look at its database and the network"


def check_clock(installation: Installation) -> Found:
    skew_s = installation.catalog.clock_skew_s()
    if skew_s is not None and abs(skew_s) > CLOCK_S:
        yield (
            "warning",
            f"this machine's clock is {skew_s:+.1f} s away from that of the catalog's database",
            "synchronize the clocks: leases of other hosts expire by them",
        )


def check_kv(installation: Installation) -> Found:
    installation.kv.get("ingest::ready")
    return
    yield


def check_endpoints(installation: Installation) -> Found:
    """Whether each secret can be had here. Runs of a cluster resolve them there."""
    with installation.catalog.read() as connection:
        known = endpoints.listed(connection)
    for entry in known:
        try:
            resolve(entry.endpoint, installation.settings)
        except IngestError as error:
            yield "failed", f"endpoint '{entry.endpoint.endpoint_id}': {error.message} [{error.code}]", error.hint


def check_units(installation: Installation) -> Found:
    with installation.catalog.read() as connection:
        unfit = unfit_units(connection, installation.settings)
    for unit in unfit[:MOST_NAMED]:
        yield "failed", f"unit '{unit.ref}' cannot run: {unit.message} [{unit.code}]", unit.hint
    if len(unfit) > MOST_NAMED:
        yield "failed", f"{len(unfit) - MOST_NAMED} more units cannot run", "ingest-ray units ENDPOINT names them"


def check_runs(installation: Installation) -> Found:
    """Runs whose process is gone, and commits that a next run must settle."""
    dead: dict[str, str] = {}
    with installation.catalog.read() as connection:
        for record in run_records.running(connection):
            if not is_run_alive(connection, installation, record):
                dead[str(record.summary.ref)] = record.summary.run_id
    for unit, run_id in list(dead.items())[:MOST_NAMED]:
        endpoint_id, _, unit_id = unit.partition(":")
        hint = f"ingest-ray run {endpoint_id} {unit_id}: it goes on where it stopped"
        yield "warning", f"the process of run {run_id} of '{unit}' is gone", hint
    open_ = 0
    for key, value, _ in installation.kv.scan("ingest::"):
        if key.endswith("::intent") and unit_of(key) is not None:
            open_ += not parsed(IntentDocument, key, value).is_settled
    if open_:
        yield (
            "warning",
            f"{open_} units have a commit under way, or one that was broken off",
            "their next run settles it",
        )


def check_schedules(installation: Installation) -> Found:
    if not installation.settings.serve.schedules.enabled:
        return
    with installation.catalog.read() as connection:
        wanted = [item.config for item in unit_configs.scheduled(connection)]
        rows = schedule_slots.listed(connection)
    now = int(time.time())
    overdue = 0
    for config in wanted:
        row = rows.get(config.ref)
        if not config.enabled or (row is not None and row.held_at is not None):
            continue
        schedule = schedules_of(installation, config).get(ORDINARY)
        if schedule is None:
            continue
        last = row.last_due if row is not None else None
        overdue += last is None or next_due(schedule, next_due(schedule, last)) < now - OVERDUE_S
    if overdue:
        yield "warning", f"{overdue} scheduled units are overdue", "start ingest-ray serve: it starts their runs"


def check_freshness(installation: Installation) -> Found:
    units = [unit for unit in read_freshness(installation) if unit.is_late]
    if units:
        names = ", ".join(str(unit.ref) for unit in units[:MOST_NAMED])
        yield "warning", f"{len(units)} units are later than promised: {names}", "ingest-ray status shows why"


def check_alerts(installation: Installation) -> Found:
    state = read_alert_state(installation)
    if state.dead:
        yield "warning", f"{state.dead} messages could not be delivered", "ingest-ray alert dead, then alert resend"
    for receiver in installation.settings.alerts.receivers:
        for field in ("url", "secret", "password"):
            value = getattr(receiver, field)
            if value is None or not is_reference(value):
                continue
            try:
                follow(value, f"alerts.receivers.{receiver.id}.{field}", installation.settings)
            except IngestError as error:
                yield "failed", error.message, error.hint
