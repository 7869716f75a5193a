"""The files of one Delta table: in a local directory, or in an object store that is reached by Delta's own settings."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from ingest_ray.sdk.path_names import path_part


class _DeltaFileSystem(DeltaStorageHandler):
    """Delta's own object store as an Arrow file system. Its streams accept only `bytes`, and Arrow passes buffers."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        return pa.PythonFile(_BytesStream(self._handler.open_output_stream(path, metadata)), mode="w")


class _BytesStream:
    closed = False

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, content: Any) -> int:
        copied = bytes(content)
        self._out.write(copied)
        return len(copied)

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
    def of(cls, root: str, names: Sequence[str], options: Mapping[str, str]) -> "TableFiles":
        """`names`: the folders under `root`."""
        parts = [path_part(name) for name in names]
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
        """Called before a commit names files, so that they survive a power failure; an object store's put is durable already."""
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

    def list_names(self) -> list[str]:
        """The names of the files; empty where the directory does not exist."""
        if self.is_local:
            return sorted(os.listdir(self.uri)) if os.path.isdir(self.uri) else []
        infos = self._remote().get_file_info(fs.FileSelector("", allow_not_found=True))
        return sorted(str(info.path).rsplit("/", 1)[-1] for info in infos if info.type == fs.FileType.File)

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
            self._fs = fs.PyFileSystem(_DeltaFileSystem(self.uri, options=self.options))
        return self._fs
