"""Stores the record of a commit of several Iceberg tables, as a small JSON file in the folder of one of them.

A catalog has no folder of its own for all of its tables. The file is in `ingest-pending`, beside `data` and `metadata`, where no
maintenance of any engine deletes; it is looked for in the folders of all tables of the unit.
"""

import json
import os

from pyarrow import fs
from pyiceberg.table import Table

from ingest_ray.sdk.path_names import path_part
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.file_io import arrow_io, file_system_of, make_durable
from ingest_ray.sinks.lake_models.pending_commit import PendingCommit

FOLDER = "ingest-pending"


class PendingFiles:
    """The records of one unit beside one table."""

    def __init__(self, table: Table, target: Target) -> None:
        unit = f"{path_part(target.endpoint_id)}~{path_part(target.unit_id)}"
        self._system, self._folder = file_system_of(arrow_io(table), f"{table.location()}/{FOLDER}/{unit}")

    def write(self, commit: PendingCommit) -> None:
        """Durable, and whole or not at all: locally by a rename, on an object store because a put is atomic."""
        path = self._path(commit.epoch)
        is_local = isinstance(self._system, fs.LocalFileSystem)
        written = f"{path}.part" if is_local else path
        if is_local:
            os.makedirs(self._folder, exist_ok=True)
        with self._system.open_output_stream(written) as out:
            out.write(commit.model_dump_json().encode())
        if is_local:
            make_durable([written])
            os.replace(written, path)
            make_durable([self._folder])

    def read_newest(self) -> PendingCommit | None:
        """Of several records, the one of the newest epoch."""
        paths = sorted(path for path in self._paths() if path.endswith(".json"))
        if not paths:
            return None
        with self._system.open_input_stream(paths[-1]) as source:
            return PendingCommit.model_validate(json.loads(source.read()))

    def delete(self, epoch: int) -> None:
        self._delete(self._path(epoch))

    def delete_all(self) -> None:
        for path in self._paths():
            self._delete(path)

    def _paths(self) -> list[str]:
        found = self._system.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        return [info.path for info in found if info.type == fs.FileType.File]

    def _path(self, epoch: int) -> str:
        return f"{self._folder}/{epoch:012}.json"

    def _delete(self, path: str) -> None:
        try:
            self._system.delete_file(path)
        except FileNotFoundError:
            return
