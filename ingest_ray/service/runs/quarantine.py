"""Rejected rows in quarantine: list, show, replay and discard them."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice

from pydantic import JsonValue

from ingest_ray.catalog import endpoints
from ingest_ray.engine.run_order import Progress
from ingest_ray.kv.keys import unit_key
from ingest_ray.quarantine import rejected_rows
from ingest_ray.quarantine.rejected_rows import QuarantineEntry
from ingest_ray.sdk.types import Model
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import execution
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import RunReport
from ingest_ray.service.units.preview import json_value
from ingest_ray.state.lease import Lease, this_process


class QuarantineListing(Model):
    """`entries`: one for each committed slice that had rejected rows, oldest first."""

    rows: int
    entries: tuple[QuarantineEntry, ...] = ()


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


def list_rejected(
    installation: Installation, endpoint_id: str | None = None, unit_id: str | None = None
) -> QuarantineListing:
    """Raises `EndpointNotFound`. The unit's name is not checked, because a unit that is gone may still have rows."""
    if endpoint_id is not None:
        with installation.catalog.read() as connection:
            endpoints.source(connection, endpoint_id)
    entries = rejected_rows.list_quarantine(installation.settings.quarantine_uri, endpoint_id, unit_id)
    return QuarantineListing(rows=sum(entry.rows for entry in entries), entries=tuple(entries))


def show_rejected(
    installation: Installation, endpoint_id: str, unit_id: str | None = None, limit: int = 10
) -> RejectedRows:
    found = list_rejected(installation, endpoint_id, unit_id)
    rows = (row for entry in found.entries for row in rejected_rows.read_rejected_rows(entry.uri))
    views = tuple(
        RejectedView(
            **row.model_dump(include={"unit_id", "sink_id", "run_id", "slice_id", "column", "reason"}),
            at=row.at.isoformat(),
            raw={name: json_value(value) for name, value in row.raw.items()},
        )
        for row in islice(rows, limit)
    )
    return RejectedRows(endpoint_id=endpoint_id, total=found.rows, rows=views)


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
    wanted = list(dict.fromkeys(entry.unit_id for entry in found.entries)) if unit_id is None else [unit_id]
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
            rejected_rows.delete_rejected_rows(entry.uri)
    return found
