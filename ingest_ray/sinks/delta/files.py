"""Where one Delta table's files are: a local directory, or an object store through Delta's own settings."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from ingest_ray.files.path_names import path_part


class _Store(DeltaStorageHandler):
    """Delta's own object store as a file system; its streams take `bytes` only, and Arrow hands them buffers."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        return pa.PythonFile(_BytesOnly(self._handler.open_output_stream(path, metadata)), mode="w")


class _BytesOnly:
    closed = False

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, content: Any) -> int:
        piece = bytes(content)
        self._out.write(piece)
        return len(piece)

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._out.close()


class TableFiles:
    """Files of one table, by name relative to it."""

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        self.uri = uri
        self.options = dict(options)
        self.is_local = "://" not in uri
        self._fs: fs.FileSystem | None = None

    @classmethod
    def of(cls, root: str, endpoint_id: str, unit_id: str, options: Mapping[str, str]) -> "TableFiles":
        parts = [path_part(endpoint_id), path_part(unit_id)]
        if root.startswith("file://"):
            root = fs.FileSystem.from_uri(root)[1]
        if "://" not in root:
            return cls(str(Path(root, *parts).absolute()), options)
        return cls("/".join([root.rstrip("/"), *(quote(part, safe="") for part in parts)]), options)

    def create(self, name: str) -> pa.NativeFile:
        if self.is_local:
            Path(self.uri).mkdir(parents=True, exist_ok=True)
            return pa.OSFile(os.path.join(self.uri, name), "wb")
        return self._remote().open_output_stream(name)

    def make_durable(self, names: Sequence[str]) -> None:
        """A commit must not name a file that a power failure can take away; an object store's put is durable."""
        if not self.is_local or not names:
            return
        for path in [*(os.path.join(self.uri, name) for name in names), self.uri]:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def open(self, name: str) -> pa.NativeFile:
        if self.is_local:
            return pa.memory_map(os.path.join(self.uri, name))
        return self._remote().open_input_file(name)

    def names(self) -> list[str]:
        """The files that lie here; none where there is no such place."""
        if self.is_local:
            return sorted(os.listdir(self.uri)) if os.path.isdir(self.uri) else []
        found = self._remote().get_file_info(fs.FileSelector("", allow_not_found=True))
        return sorted(str(item.path).rsplit("/", 1)[-1] for item in found if item.type == fs.FileType.File)

    def delete(self, name: str) -> None:
        try:
            if self.is_local:
                os.unlink(os.path.join(self.uri, name))
            else:
                self._remote().delete_file(name)
        except FileNotFoundError:
            return

    def _remote(self) -> fs.FileSystem:
        if self._fs is None:
            self._fs = fs.PyFileSystem(_Store(self.uri, options=self.options))
        return self._fs
