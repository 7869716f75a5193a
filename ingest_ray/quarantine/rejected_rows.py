"""Rows that could not be represented: kept with their raw value, slice and reason, to be listed and replayed.

A reader writes a slice's rejected rows into a pending file, one JSON line per row. The file becomes official when the slice
is committed: `promote` moves it and may be called again. Pending files of dead runs are swept: their slices are read
again. Layout: `<root>/<endpoint>/<unit>/<sink>/{pending,rows}/<run>/<slice>[~<attempt>].jsonl`.
"""

import base64
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from ingest_ray.files.folder import Folder, hint_for
from ingest_ray.files.path_names import path_part
from ingest_ray.sdk.errors import LedgerMismatch, SinkUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model

PENDING, OFFICIAL = "pending", "rows"


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

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class RejectedRow(Model):
    """`raw` holds the source's values as Python objects, as they were before they were written."""

    at: datetime
    endpoint_id: str
    unit_id: str
    sink_id: str
    run_id: str
    slice_id: str
    column: str | None
    reason: str
    raw: dict[str, Any]


class QuarantineWriter:
    """Collects the rejected rows of one attempt of one slice; no file is made for none."""

    def __init__(
        self, root: str, endpoint_id: str, unit_id: str, sink_id: str, run_id: str, slice_id: str, attempt: int
    ) -> None:
        self._folder = Folder(root)
        self._facts = {
            "endpoint_id": endpoint_id,
            "unit_id": unit_id,
            "sink_id": sink_id,
            "run_id": run_id,
            "slice_id": slice_id,
        }
        parts = [endpoint_id, unit_id, sink_id, PENDING, run_id]
        self._where = "/".join(path_part(part) for part in parts)
        self._name = f"{self._where}/{path_part(slice_id)}~{attempt}.jsonl"
        self._out: pa.NativeFile | None = None
        self.rows = 0

    def reject(self, raw: Mapping[str, Any], reason: str, column: str | None = None) -> None:
        line = {
            "at": datetime.now(UTC).isoformat(),
            **self._facts,
            "column": column,
            "reason": reason,
            "raw": {str(name): encode_value(value) for name, value in raw.items()},
        }
        with _guarded(self._folder.uri_of(self._name)):
            if self._out is None:
                self._folder.make(self._where)
                self._out = self._folder.create(self._name)
            self._out.write(json.dumps(line).encode() + b"\n")
        self.rows += 1

    def close(self) -> str | None:
        """The pending file, or None where no row was rejected."""
        if self._out is None:
            return None
        with _guarded(self._folder.uri_of(self._name)):
            self._out.close()
        self._out = None
        return self._folder.uri_of(self._name)

    def abort(self) -> None:
        with _guarded(self._folder.uri_of(self._name)):
            if self._out is not None:
                self._out.close()
                self._out = None
            self._folder.delete(self._name)


def promote(uri: str) -> str:
    """Makes a pending file official; returns its new place. Doing it again changes nothing."""
    base, state, run, file = uri.rsplit("/", 3)
    if state == OFFICIAL:
        return uri
    folder = Folder(base)
    official = f"{OFFICIAL}/{run}/{file.rsplit('~', 1)[0]}.jsonl"
    pending = f"{PENDING}/{run}/{file}"
    with _guarded(uri):
        if folder.exists(pending):
            folder.make(f"{OFFICIAL}/{run}")
            folder.move(pending, official)
        elif not folder.exists(official):
            raise LedgerMismatch(f"the rejected rows at '{uri}' are gone")
    return folder.uri_of(official)


def list_quarantine(root: str, endpoint_id: str | None = None, unit_id: str | None = None) -> list[QuarantineEntry]:
    """Official files, oldest first."""
    folder = Folder(root)
    parts = [path_part(part) for part in (endpoint_id, unit_id) if part is not None]
    if unit_id is not None and endpoint_id is None:
        raise ValueError("a unit is named together with its endpoint")
    with _guarded(root):
        names = [name for name in folder.files("/".join(parts)) if name.split("/")[3:4] == [OFFICIAL]]
    entries = [_entry(folder.uri_of(name)) for name in names]
    return sorted((entry for entry in entries if entry is not None), key=lambda entry: entry.at)


def show(uri: str) -> Iterator[RejectedRow]:
    """The rows of one file, with their values as they were."""
    base, file = uri.rsplit("/", 1)
    with _guarded(uri):
        content = Folder(base).get(file).to_pybytes()
    for line in content.splitlines():
        fields = json.loads(line)
        raw = {name: decode_value(value) for name, value in fields.pop("raw").items()}
        yield RejectedRow(**fields, raw=raw)


def discard(uri: str) -> None:
    base, file = uri.rsplit("/", 1)
    with _guarded(uri):
        Folder(base).delete(file)


def sweep_pending(root: str, live_runs: Collection[str]) -> int:
    """Removes the pending files of runs that are not live; returns how many. Promote what was committed first."""
    folder = Folder(root)
    live = {path_part(run_id) for run_id in live_runs}
    with _guarded(root):
        dead = [name for name in folder.files() if name.split("/")[3:4] == [PENDING] and name.split("/")[4] not in live]
        for name in dead:
            folder.delete(name)
    return len(dead)


def _entry(uri: str) -> QuarantineEntry | None:
    rows = list(show(uri))
    if not rows:
        return None
    first = rows[0]
    facts = first.model_dump(include={"endpoint_id", "unit_id", "sink_id", "run_id", "slice_id", "at"})
    return QuarantineEntry(uri=uri, rows=len(rows), first_reason=first.reason, **facts)


def encode_value(value: Any) -> Any:
    """JSON for any value: what JSON has no form for becomes an object of one `$` key. What is unknown becomes its text."""
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    for tag, kind in _TEXT_KINDS.items():
        if isinstance(value, kind):
            return {tag: str(value)}
    if isinstance(value, timedelta):
        return {"$duration": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, pa.MonthDayNano):
        return {"$interval": [value.months, value.days, value.nanoseconds]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: encode_value(item) for key, item in value.items()}
        return {"$map": [[encode_value(key), encode_value(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [encode_value(item) for item in value]}
    if isinstance(value, list):
        return [encode_value(item) for item in value]
    return {"$text": str(value)}


def decode_value(value: Any) -> Any:
    if isinstance(value, list):
        return [decode_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (tag := next(iter(value))).startswith("$"):
        return _DECODERS[tag](value[tag])
    return {key: decode_value(item) for key, item in value.items()}


_TEXT_KINDS: dict[str, type[Any]] = {"$decimal": Decimal, "$date": date, "$time": time, "$uuid": UUID}

_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$bytes": base64.b64decode,
    "$date": date.fromisoformat,
    "$datetime": datetime.fromisoformat,
    "$decimal": Decimal,
    "$duration": lambda parts: timedelta(*parts),
    "$float": float,
    "$interval": lambda parts: pa.MonthDayNano(parts),
    "$map": lambda pairs: {decode_value(key): decode_value(item) for key, item in pairs},
    "$text": str,
    "$time": time.fromisoformat,
    "$tuple": lambda items: tuple(decode_value(item) for item in items),
    "$uuid": UUID,
}


@contextmanager
def _guarded(place: str) -> Iterator[None]:
    """Says which place failed, and what a person can do about it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise SinkUnavailable(f"quarantine at '{place}' failed: {error}", hint=hint_for(error)) from error
