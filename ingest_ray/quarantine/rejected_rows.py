"""Files of rejected rows: promoted when their slice is committed, listed, read for a replay, deleted.

A reader writes a slice's rejected rows into a pending file. The commit of the slice promotes the file to an official one, and may
do so again after a crash. Pending files of dead runs are swept: their slices are read again.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from ingest_ray.files.folder import open_folder
from ingest_ray.quarantine.storage import OFFICIAL, PENDING, open_above, translate_errors
from ingest_ray.quarantine.values import decode_value
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.path_names import path_part
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model


class QuarantineEntry(Model):
    """The rejected rows of one committed slice."""

    uri: str
    endpoint_id: str
    unit_id: str
    sink_id: str
    run_id: str
    slice_id: str
    rows: int
    first_reason: str
    at: datetime
    read_at: int | None = None
    """Microseconds since 1970: when the run began that read the rows. None in files of older versions."""
    layout: str = ""
    """The masks of the rows, as `engine.masking.layout` writes them."""

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class RejectedRow(Model):
    """`raw` holds the source's values as Python objects, equal to those that were rejected."""

    at: datetime
    endpoint_id: str
    unit_id: str
    sink_id: str
    run_id: str
    slice_id: str
    read_at: int | None = None
    layout: str = ""
    column: str | None
    reason: str
    raw: dict[str, Any]


def promote_rejected_rows(file: str | Location) -> str | None:
    """Makes a pending file official; returns its new URI, or None where the file is gone. A second call changes nothing.

    A file may be gone after a crash between its promotion and the end of its commit: it was discarded, or deleted by hand.
    """
    uri = _uri_of(file)
    folder, (state, run, name) = open_above(file, 3)
    if state == OFFICIAL:
        return uri
    official = f"{OFFICIAL}/{run}/{name.rsplit('~', 1)[0]}.jsonl"
    pending = f"{PENDING}/{run}/{name}"
    with translate_errors(uri):
        if folder.exists(pending):
            folder.make(f"{OFFICIAL}/{run}")
            folder.move(pending, official)
        elif not folder.exists(official):
            return None
    return folder.uri_of(official)


def list_quarantine(
    root: str | Location, endpoint_id: str | None = None, unit_id: str | None = None
) -> list[QuarantineEntry]:
    """Official files, oldest first."""
    folder = open_folder(root)
    parts = [path_part(part) for part in (endpoint_id, unit_id) if part is not None]
    if unit_id is not None and endpoint_id is None:
        raise ValueError("a unit is named together with its endpoint")
    with translate_errors(_uri_of(root)):
        names = [name for name in folder.files("/".join(parts)) if name.split("/")[3:4] == [OFFICIAL]]
    location = root if isinstance(root, Location) else Location(root)
    entries = [_entry(location.at(folder.uri_of(name))) for name in names]
    return sorted((entry for entry in entries if entry is not None), key=lambda entry: entry.at)


def read_rejected_rows(file: str | Location) -> Iterator[RejectedRow]:
    """The rows of one file, with the source's values."""
    folder, (name,) = open_above(file, 1)
    with translate_errors(_uri_of(file)):
        content = folder.get(name).to_pybytes()
    for line in content.splitlines():
        fields = json.loads(line)
        raw = {name: decode_value(value) for name, value in fields.pop("raw").items()}
        yield RejectedRow(**fields, raw=raw)


def delete_rejected_rows(file: str | Location) -> None:
    folder, (name,) = open_above(file, 1)
    with translate_errors(_uri_of(file)):
        folder.delete_files([name])


def list_pending(root: str | Location) -> list[str]:
    """Names of the pending files, for `sweep_pending`."""
    with translate_errors(_uri_of(root)):
        return [name for name in open_folder(root).files() if name.split("/")[3:4] == [PENDING]]


def sweep_pending(root: str | Location, pending: Iterable[str], live_runs: Collection[str]) -> int:
    """Removes those of the pending files whose run is not live; returns how many.

    The files must be listed before the live runs are read: a run that begins in between is then not taken for dead. A run
    counts as live, too, while an unsettled intent of it may still promote its files.
    """
    folder = open_folder(root)
    live = {path_part(run_id) for run_id in live_runs}
    dead = [name for name in pending if name.split("/")[4] not in live]
    with translate_errors(_uri_of(root)):
        folder.delete_files(dead)
    return len(dead)


def _uri_of(location: str | Location) -> str:
    return location if isinstance(location, str) else location.uri


def _entry(file: Location) -> QuarantineEntry | None:
    rows = list(read_rejected_rows(file))
    if not rows:
        return None
    first = rows[0]
    ids = first.model_dump(
        include={"endpoint_id", "unit_id", "sink_id", "run_id", "slice_id", "at", "read_at", "layout"}
    )
    return QuarantineEntry(uri=file.uri, rows=len(rows), first_reason=first.reason, **ids)
