"""The files of one Delta table: in a local directory, or in an object store that is reached by Delta's own settings."""

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from deltalake import DeltaTable
from pyarrow import fs

from ingest_ray.files.store_folder import StoreFolder
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.path_names import path_part


class TableFiles:
    """Files of one table, by name relative to it."""

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        self.uri = uri
        self.options = dict(options)
        self.is_local = "://" not in uri
        self.kept: DeltaTable | None = None
        """The snapshot that commits are made from, under `lock`: `snapshot.newest_table` brings it up to date."""
        self.checkpoint: int | None = None
        """The version of the log's last checkpoint; None before it was looked for."""
        self.last_read: tuple[int, list[Mapping[str, Any]]] | None = None
        """The version and the actions of the log's commit that was read last."""
        self.lock = threading.RLock()
        self._folder: StoreFolder | None = None

    @classmethod
    def of(cls, root: str, names: Sequence[str], options: Mapping[str, str]) -> "TableFiles":
        """`names`: the folders under `root`."""
        is_whole = "://" in root or os.path.isabs(root)
        return cls(_uri_of(root if is_whole else os.path.join(os.getcwd(), root), tuple(names)), options)

    def create(self, name: str) -> pa.NativeFile:
        if not self.is_local:
            return self._remote().create(name)
        path = os.path.join(self.uri, name)
        try:
            return pa.OSFile(path, "wb")
        except FileNotFoundError:
            os.makedirs(self.uri, exist_ok=True)
            return pa.OSFile(path, "wb")

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

    def find_damaged(self, sizes: Mapping[str, int]) -> list[str]:
        """The files that are gone, or have another size than their writer said: another machine's disk, or somebody's clean-up. An
        object store is not asked: what it acknowledged is there, for every machine."""
        return [name for name, size in sizes.items() if self._size(name) != size] if self.is_local else []

    def _size(self, name: str) -> int | None:
        try:
            return os.stat(os.path.join(self.uri, name)).st_size
        except FileNotFoundError:
            return None

    def open(self, name: str) -> pa.NativeFile:
        if self.is_local:
            return pa.memory_map(os.path.join(self.uri, name))
        return self._remote().open(name)

    def read(self, name: str) -> bytes:
        """A small file, by one request. Raises `FileNotFoundError`."""
        if self.is_local:
            return Path(self.uri, name).read_bytes()
        content: bytes = self._remote().get(name).to_pybytes()
        return content

    def list_names(self) -> list[str]:
        """The names of the files; empty where the directory does not exist."""
        if self.is_local:
            return sorted(os.listdir(self.uri)) if os.path.isdir(self.uri) else []
        return sorted(name for name in self._remote().files() if "/" not in name)

    def delete(self, name: str) -> None:
        self.delete_all([name])

    def delete_all(self, names: Sequence[str]) -> None:
        """Names that do not exist are ignored."""
        if not self.is_local:
            self._remote().delete_files(names)
            return
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.uri, name))

    def _remote(self) -> StoreFolder:
        if self._folder is None:
            self._folder = StoreFolder(Location(self.uri, self.options))
        return self._folder


@lru_cache(1024)
def _uri_of(root: str, names: tuple[str, ...]) -> str:
    """Every slice asks for it. `root`: a URI or an absolute path."""
    parts = [path_part(name) for name in names]
    if root.startswith("file://"):
        root = fs.FileSystem.from_uri(root)[1]
    if "://" not in root:
        return str(Path(root, *parts).absolute())
    return "/".join([root.rstrip("/"), *(quote(part, safe="") for part in parts)])
