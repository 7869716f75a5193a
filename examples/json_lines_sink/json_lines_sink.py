"""A sink that keeps the rows of a unit as JSON lines, each commit exactly once.

The folder of a unit has `commit.json`, with the newest epoch, the last number, its receipt and the name of the data file, and
that data file. A commit writes a new data file and then replaces `commit.json` in one step, under a lock: readers see all of a
commit or nothing. A commit writes all rows of the unit again, so it is for small units. It keeps no column types of its own.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4

import pyarrow as pa
from pydantic import BaseModel

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.errors import Fenced, SinkRejected, SinkUnavailable, StagingLost
from ingest_ray.sdk.row_batches import batches_of
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import ColumnFit, Endpoint, Fidelity, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.provenance import DELETED_AT, Provenance, with_provenance

Row = dict[str, Any]
NO_COMMIT: Row = {"epoch": 0, "sequence": 0, "data": None, "receipt": None}


class JsonLinesConfig(BaseModel):
    folder: str


class JsonLinesSink:
    def __init__(self, config: JsonLinesConfig) -> None:
        self._root = Path(config.folder)

    def location(self, target: Target) -> str:
        return str(self._folder(target))

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return [_fit_of(field) for field in schema]

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        with_provenance(schema)  # refuses a column whose name is reserved
        missing = [name for name in target.key if name not in schema.names]
        if target.write is WriteMode.UPSERT and (missing or not target.key):
            raise SinkRejected(f"'{target.unit_id}': an upsert needs a key; missing: '{', '.join(missing)}'")
        with self._locked(target) as commit:
            self._fence(commit, target, epoch)
            self._write_state(target, {**commit, "epoch": epoch})
            return int(commit["sequence"])

    def is_empty(self, target: Target) -> bool:
        return not self.rows(target)

    def rows(self, target: Target) -> list[Row]:
        """Returns all rows as a reader sees them now."""
        while True:
            commit = self._state(target)
            if commit["data"] is None:
                return []
            try:
                return _read_lines(self._folder(target) / commit["data"])
            except FileNotFoundError:  # a later commit replaced it meanwhile
                continue

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        path = self._folder(target) / f"prepared-{uuid4().hex}.jsonl"
        provenance, row_hash = Provenance(target.run_id, piece), RowHash()
        try:
            with path.open("w", encoding="utf-8") as file:
                for batch in batches:
                    row_hash.update(batch)
                    file.writelines(_line(row) for row in provenance.add_to(batch).to_pylist())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Prepared(
            slice_id=piece.slice_id,
            rows=row_hash.rows,
            bytes=path.stat().st_size,
            row_hash=row_hash.hexdigest(),
            payload={"path": str(path)},
        )

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        def change(rows: list[Row]) -> tuple[list[Row], int]:
            try:
                added = [row for part in group for row in _read_lines(_path(part))]
            except FileNotFoundError as error:
                raise StagingLost(f"'{target.unit_id}': a prepared file is gone: {error.filename}") from error
            if target.write is WriteMode.UPSERT:
                return _upsert(rows, added, target)
            return (added if target.write is WriteMode.REPLACE else rows + added), len(added)

        receipt = self._apply(target, epoch, sequence, change, sum(part.rows for part in group))
        self.abort(group)
        return receipt

    def abort(self, group: Sequence[Prepared]) -> None:
        for part in group:
            _path(part).unlink(missing_ok=True)

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        def reject(raw: object, reason: str, column: str | None) -> None:
            raise SinkRejected(f"'{target.unit_id}': key column '{column}': {reason}")

        wanted = pa.schema([schema.field(name) for name in target.key])
        living = [row for row in self.rows(target) if row[DELETED_AT] is None]
        return batches_of(living, ReadContext(wanted, 1 << 20, 1 << 30, reject))

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        gone = {_key(json.loads(_line(row)), target) for batch in keys for row in batch.to_pylist()}

        def change(rows: list[Row]) -> tuple[list[Row], int]:
            hit = [row for row in rows if row[DELETED_AT] is None and _key(row, target) in gone]
            if how == "tombstone":
                for row in hit:
                    row[DELETED_AT] = datetime.now(UTC).isoformat()
                return rows, len(hit)
            return [row for row in rows if _key(row, target) not in gone], len(hit)

        return self._apply(target, epoch, sequence, change, None)

    def _apply(
        self,
        target: Target,
        epoch: int,
        sequence: int,
        change: Callable[[list[Row]], tuple[list[Row], int]],
        row_count: int | None,
    ) -> Receipt:
        """Replaces the rows by those that `change` returns, once per number."""
        with self._locked(target) as commit:
            self._fence(commit, target, epoch)
            if sequence == commit["sequence"]:
                return Receipt.model_validate(commit["receipt"])
            if sequence < commit["sequence"]:
                return Receipt(epoch=epoch, sequence=sequence, rows_committed=0)
            folder = self._folder(target)
            rows, committed = change(_read_lines(folder / commit["data"]) if commit["data"] else [])
            receipt = Receipt(
                epoch=epoch,
                sequence=sequence,
                rows_committed=committed,
                rows_deduplicated=0 if row_count is None else row_count - committed,
                location=str(folder),
            )
            name = f"rows-{epoch}-{sequence}.jsonl"
            _write_durably(folder / name, map(_line, rows))
            state = {"epoch": epoch, "sequence": sequence, "data": name, "receipt": receipt.model_dump(mode="json")}
            self._write_state(target, state)
            for path in folder.glob("rows-*.jsonl"):
                if path.name not in (name, commit["data"]):
                    path.unlink()
            return receipt

    def _fence(self, commit: Row, target: Target, epoch: int) -> None:
        if commit["epoch"] > epoch:
            raise Fenced(f"'{target.unit_id}' has epoch {commit['epoch']}", newer_epoch=commit["epoch"])

    def _folder(self, target: Target) -> Path:
        names = (quote(name, safe="").replace(".", "%2E") for name in (target.endpoint_id, target.unit_id))
        return self._root.joinpath(*names)

    def _state(self, target: Target) -> Row:
        path = self._folder(target) / "commit.json"
        return dict(json.loads(path.read_text())) if path.exists() else dict(NO_COMMIT)

    def _write_state(self, target: Target, state: Row) -> None:
        path = self._folder(target) / "commit.json"
        _write_durably(path.with_suffix(".new"), [json.dumps(state)])
        os.replace(path.with_suffix(".new"), path)

    @contextmanager
    def _locked(self, target: Target) -> Iterator[Row]:
        try:
            self._folder(target).mkdir(parents=True, exist_ok=True)
            lock = (self._folder(target) / "lock").open("w")
        except OSError as error:
            raise SinkUnavailable(f"'{target.unit_id}': {error}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._state(target)


class JsonLines:
    descriptor = Descriptor(
        template="example.jsonl",
        family="STREAM",
        title="JSON lines",
        vendor="jsonl",
        config_model=JsonLinesConfig,
        capabilities=("append", "upsert", "replace"),
    )

    def open(self, endpoint: Endpoint) -> JsonLinesSink:
        return JsonLinesSink(JsonLinesConfig.model_validate(endpoint.config))


def _fit_of(field: pa.Field) -> ColumnFit:
    kind, types = field.type, pa.types
    exact = (types.is_integer, types.is_boolean, types.is_string, types.is_decimal, types.is_date32, types.is_timestamp)
    is_exact = any(check(kind) for check in exact) and not (types.is_timestamp(kind) and kind.unit == "ns")
    return ColumnFit(
        column=field.name,
        arrow=str(kind),
        sink_type="JSON",
        fidelity=Fidelity.EXACT if is_exact else Fidelity.REFUSED,
        note=None if is_exact else "JSON lines have no such value",
    )


def _line(row: Row) -> str:
    values = {name: value if isinstance(value, (int, str, type(None))) else _text(value) for name, value in row.items()}
    return json.dumps(values, ensure_ascii=False) + "\n"


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _read_lines(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _write_durably(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _path(part: Prepared) -> Path:
    return Path(str(part.payload["path"]))


def _key(row: Row, target: Target) -> str:
    return json.dumps([row[name] for name in target.key])


def _upsert(rows: list[Row], added: list[Row], target: Target) -> tuple[list[Row], int]:
    """Of two rows with one key the newer version wins; of equal versions, and without versions, the later one."""
    by_key = {_key(row, target): row for row in rows}
    changed: set[str] = set()
    for row in added:
        key = _key(row, target)
        if key not in by_key or _version(row, target) >= _version(by_key[key], target):
            by_key[key] = row
            changed.add(key)
    return list(by_key.values()), len(changed)


def _version(row: Row, target: Target) -> tuple[bool, Any]:
    """NULL is the oldest version. Numbers and instants compare by their JSON form; decimals do not."""
    value = row[target.version_column] if target.version_column else 0
    return value is not None, 0 if value is None else value


json_lines = JsonLines()
