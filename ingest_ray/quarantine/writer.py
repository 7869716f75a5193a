"""Writes the rejected rows of a slice, while it is read, into a pending file: one JSON line per row."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from ingest_ray.files.folder import Folder, open_folder
from ingest_ray.quarantine.storage import PENDING, translate_errors
from ingest_ray.quarantine.values import encode_value
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.path_names import FILE_BYTES, path_part

REASON_CHARS = 300  # of the first reason, which is a part of an event


class QuarantineWriter:
    """Writes the rejected rows of one attempt of one slice; without a rejected row it makes no file."""

    def __init__(
        self,
        root: str | Location,
        endpoint_id: str,
        unit_id: str,
        sink_id: str,
        run_id: str,
        slice_id: str,
        attempt: int | str,
        *,
        read_at: int | None = None,
        layout: str = "",
    ) -> None:
        self._layout = {"layout": layout} if layout else {}
        self._read_at = read_at
        self._root = root
        self._attempt = attempt
        self._ids = {
            "endpoint_id": endpoint_id,
            "unit_id": unit_id,
            "sink_id": sink_id,
            "run_id": run_id,
            "slice_id": slice_id,
        }
        self._out: pa.NativeFile | None = None
        self.rows = 0
        self.first_reason: str | None = None

    @cached_property
    def _folder(self) -> Folder:
        """Opened for the first rejected row: most slices have none."""
        return open_folder(self._root)

    @cached_property
    def _run_folder(self) -> str:
        ids = self._ids
        parts = [ids["endpoint_id"], ids["unit_id"], ids["sink_id"], PENDING, ids["run_id"]]
        return "/".join(path_part(part) for part in parts)

    @cached_property
    def _name(self) -> str:
        return f"{self._run_folder}/{path_part(self._ids['slice_id'], FILE_BYTES)}~{self._attempt}.jsonl"

    def reject(self, raw: Mapping[str, Any], reason: str, column: str | None = None) -> None:
        line = {
            "at": datetime.now(UTC).isoformat(),
            **self._ids,
            "read_at": self._read_at,
            **self._layout,
            "column": column,
            "reason": reason,
            "raw": {str(name): encode_value(value) for name, value in raw.items()},
        }
        with translate_errors(self._folder.uri_of(self._name)):
            if self._out is None:
                self._folder.make(self._run_folder)
                self._out = self._folder.create(self._name)
            self._out.write(json.dumps(line).encode() + b"\n")
        self.rows += 1
        if self.first_reason is None:
            self.first_reason = (f"column '{column}': {reason}" if column else reason)[:REASON_CHARS]

    def close(self) -> str | None:
        """The pending file, or None where no row was rejected."""
        if self._out is None:
            return None
        with translate_errors(self._folder.uri_of(self._name)):
            self._out.close()
        self._out = None
        return self._folder.uri_of(self._name)

    def abort(self) -> None:
        if self._out is None and not self.rows:
            return
        with translate_errors(self._folder.uri_of(self._name)):
            if self._out is not None:
                self._out.close()
                self._out = None
            self._folder.delete(self._name)
