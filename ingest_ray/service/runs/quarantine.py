"""Rejected rows in quarantine: list, show, replay and discard them."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from itertools import islice

from pydantic import JsonValue

from ingest_ray.catalog import endpoints, unit_configs
from ingest_ray.engine.run_order import Progress
from ingest_ray.kv.keys import unit_key
from ingest_ray.quarantine import rejected_rows
from ingest_ray.quarantine.rejected_rows import QuarantineEntry
from ingest_ray.sdk.errors import UnitNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitSpec
from ingest_ray.secrets.locations import quarantine_file, quarantine_location
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import execution
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import RunReport
from ingest_ray.service.units.policies.replay import NoReplay, no_replay
from ingest_ray.service.units.policies.unfit_units import checked_units
from ingest_ray.service.units.preview import json_value
from ingest_ray.service.units.rules import is_match, is_pattern
from ingest_ray.service.units.selection import similar_units
from ingest_ray.state.lease import Lease, this_process


class QuarantineListing(Model):
    """`entries`: one for each committed slice that had rejected rows, oldest first."""

    rows: int
    entries: tuple[QuarantineEntry, ...] = ()
    not_replayable: tuple[NoReplay, ...] = ()
    """Units of these rows that cannot be replayed."""


class RejectedView(Model):
    """`raw` as JSON: exact numbers and times as text, bytes as base64."""

    unit_id: str
    sink_id: str
    run_id: str
    slice_id: str
    at: str
    column: str | None
    reason: str
    raw: dict[str, JsonValue]


class RejectedRows(Model):
    """`total` counts all of them; `rows` are the oldest."""

    endpoint_id: str
    total: int
    rows: tuple[RejectedView, ...] = ()
    not_replayable: tuple[NoReplay, ...] = ()


def list_rejected(
    installation: Installation, endpoint_id: str | None = None, unit_id: str | None = None
) -> QuarantineListing:
    """`unit_id`: an id or a pattern. A unit that is gone may still have rows.

    Raises:
        EndpointNotFound
        UnitNotFound: the endpoint has no such unit, and no rows of one.
    """
    if endpoint_id is not None:
        with installation.catalog.read() as connection:
            endpoints.source(connection, endpoint_id)
    is_one = unit_id is not None and not is_pattern(unit_id)
    entries = rejected_rows.list_quarantine(
        quarantine_location(installation.settings), endpoint_id, unit_id if is_one else None
    )
    if endpoint_id is not None and unit_id is not None:
        entries = [entry for entry in entries if is_match(unit_id, entry.unit_id)]
        if not entries:
            _refuse_unknown_unit(installation, endpoint_id, unit_id)
    return QuarantineListing(
        rows=sum(entry.rows for entry in entries),
        entries=tuple(entries),
        not_replayable=tuple(_not_replayable(installation, {entry.ref for entry in entries})),
    )


def _not_replayable(installation: Installation, units: Collection[UnitRef]) -> Iterator[NoReplay]:
    with installation.catalog.read() as connection:
        for endpoint_id in sorted({unit.endpoint_id for unit in units}):
            for checked in checked_units(connection, installation.settings, endpoint_id):
                if isinstance(checked, UnitSpec) and checked.ref in units and (found := no_replay(checked)):
                    yield found


def _refuse_unknown_unit(installation: Installation, endpoint_id: str, unit_id: str) -> None:
    with installation.catalog.read() as connection:
        configured = [item.config.unit_id for item in unit_configs.listed(connection, endpoint_id)]
    if not any(is_match(unit_id, each) for each in configured):
        raise UnitNotFound(
            f"endpoint '{endpoint_id}' has no configured unit '{unit_id}', and no rejected rows of one",
            hint=similar_units(unit_id, configured, endpoint_id),
        )


def show_rejected(
    installation: Installation, endpoint_id: str, unit_id: str | None = None, limit: int = 10
) -> RejectedRows:
    found = list_rejected(installation, endpoint_id, unit_id)
    files = (quarantine_file(entry.uri, installation.settings) for entry in found.entries)
    rows = (row for file in files for row in rejected_rows.read_rejected_rows(file))
    views = tuple(
        RejectedView(
            **row.model_dump(include={"unit_id", "sink_id", "run_id", "slice_id", "column", "reason"}),
            at=row.at.isoformat(),
            raw={name: json_value(value) for name, value in row.raw.items()},
        )
        for row in islice(rows, limit)
    )
    return RejectedRows(endpoint_id=endpoint_id, total=found.rows, rows=views, not_replayable=found.not_replayable)


def replay(
    installation: Installation,
    endpoint_id: str,
    unit_id: str | None = None,
    *,
    observe: Callable[[Progress], None] = lambda _: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Ingests the rejected rows of one unit or of all units again; rows that still do not fit stay in quarantine."""
    found = list_rejected(installation, endpoint_id, unit_id)
    wanted = list(dict.fromkeys(entry.unit_id for entry in found.entries))
    if unit_id is not None and not is_pattern(unit_id):
        wanted = [unit_id]
    if not wanted:
        return execution.report_of([], [], [], 0.0)
    return execution.run(
        installation, endpoint_id, wanted, options=RunOptions(task="replay"), observe=observe, is_stopping=is_stopping
    )


def discard_rejected(installation: Installation, endpoint_id: str, unit_id: str | None = None) -> QuarantineListing:
    """Deletes the rows for good, and returns the list of them. Holds the leases of their units meanwhile.

    Raises:
        RunActive: one of the units has a live run, which may be replaying its rows.
    """
    found = list_rejected(installation, endpoint_id, unit_id)
    with installation.catalog.read() as connection:
        vendor = endpoints.source(connection, endpoint_id).vendor
    keys = {unit_key(vendor, entry.ref, entry.sink_id) for entry in found.entries}
    with ExitStack() as leases:
        for key in sorted(keys):
            lease = Lease.acquire(installation.kv, key, "discard", this_process())
            leases.callback(lease.release)
        for entry in found.entries:
            rejected_rows.delete_rejected_rows(quarantine_file(entry.uri, installation.settings))
    return found
