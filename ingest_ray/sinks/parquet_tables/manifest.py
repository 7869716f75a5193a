"""The manifest of a commit: which files are the table, in which columns, and what the commits of its units counted.

Version n of a table is `_manifests/<n>.json`, which is made once. `current.json` names the newest one and repeats its files, for readers.
"""

import base64
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
from pydantic import Field

from ingest_ray.sdk.types import Model

POINTER = "current.json"
MANIFESTS = "_manifests"
DATA = "data"


class DataFile(Model):
    """`path`: relative to the table's folder."""

    path: str
    bytes: int
    rows: int


class UnitCommit(Model):
    """The last commit of a unit: its epoch, its number, and what it counted."""

    epoch: int = 0
    sequence: int = 0
    rows_committed: int = 0


class Manifest(Model):
    format: Literal[1] = 1
    version: int
    commit_id: str
    written_at: datetime
    columns: dict[str, str]
    """For people: names and types."""
    arrow_schema: str
    """The columns with their types, as Arrow's IPC has them, in base64."""
    partition_by: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()
    ledger: dict[str, UnitCommit] = Field(default_factory=dict)
    """By the name of the unit in its sink."""

    @property
    def schema(self) -> pa.Schema:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.arrow_schema)))

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def commit_of(self, app_id: str) -> UnitCommit:
        return self.ledger.get(app_id, UnitCommit())


def first_manifest(schema: pa.Schema, partition_by: Sequence[str]) -> Manifest:
    return _stamped(
        Manifest(version=1, commit_id="", written_at=datetime.now(UTC), columns={}, arrow_schema=""),
        schema,
        partition_by,
    )


def next_manifest(
    before: Manifest,
    *,
    schema: pa.Schema | None = None,
    partition_by: Sequence[str] | None = None,
    files: Sequence[DataFile] | None = None,
    app_id: str = "",
    commit: UnitCommit | None = None,
) -> Manifest:
    """The version after `before`; what is None stays."""
    update: dict[str, object] = {"version": before.version + 1}
    if files is not None:
        update["files"] = tuple(files)
    if commit is not None:
        update["ledger"] = {**before.ledger, app_id: commit}
    after = before.model_copy(update=update)
    return _stamped(after, schema or before.schema, before.partition_by if partition_by is None else partition_by)


def _stamped(manifest: Manifest, schema: pa.Schema, partition_by: Sequence[str]) -> Manifest:
    return manifest.model_copy(
        update={
            "commit_id": uuid.uuid4().hex,
            "written_at": datetime.now(UTC),
            "columns": {field.name: str(field.type) for field in schema},
            "arrow_schema": base64.b64encode(schema.serialize().to_pybytes()).decode(),
            "partition_by": tuple(partition_by),
        }
    )


def manifest_name(version: int) -> str:
    return f"{MANIFESTS}/{version:012}.json"


def pointer_of(manifest: Manifest) -> bytes:
    """What `current.json` says of a manifest."""
    document = {
        "format": 1,
        "version": manifest.version,
        "manifest": manifest_name(manifest.version),
        "written_at": manifest.written_at.isoformat(),
        "rows": manifest.rows,
        "partition_by": list(manifest.partition_by),
        "columns": manifest.columns,
        "files": [file.path for file in manifest.files],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode()


def version_of(pointer: bytes) -> int:
    return int(json.loads(pointer)["version"])
