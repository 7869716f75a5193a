"""The files of one table: data, manifests and the pointer, on a local disk or in an object store."""

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs

from ingest_ray.files.conditional import ConditionalFiles
from ingest_ray.files.store_client import is_store
from ingest_ray.files.store_folder import StoreFolder
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.path_names import path_part


class TableFolder:
    """Raises `OSError`."""

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        self.uri = uri
        self.is_local = not is_store(uri)
        self.lock = threading.RLock()
        location = Location(uri, options)
        self.conditional = ConditionalFiles(location)
        self._store = None if self.is_local else StoreFolder(location)

    @classmethod
    def of(cls, root: str, names: Sequence[str], options: Mapping[str, str]) -> "TableFolder":
        """`names`: the folders under `root`. Raises `ConfigError` for a place that has neither links nor conditional requests."""
        parts = [path_part(name) for name in names]
        if root.startswith("file://"):
            root = fs.FileSystem.from_uri(root)[1]
        if is_store(root):
            return cls("/".join([root.rstrip("/"), *(quote(part, safe="") for part in parts)]), options)
        if "://" in root:
            raise ConfigError(f"'{root}': lake.parquet writes to folders and object stores: s3://, gs://, az://")
        return cls(str(Path(root, *parts).absolute()), options)

    def create(self, name: str) -> pa.NativeFile:
        if self._store is not None:
            return self._store.create(name)
        path = Path(self.uri, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return pa.OSFile(str(path), "wb")

    def open(self, name: str) -> pa.NativeFile:
        return self._store.open(name) if self._store is not None else pa.memory_map(os.path.join(self.uri, name))

    def make_durable(self, names: Sequence[str]) -> None:
        """Called before a commit names files, so that they survive a power failure; an object store's put is durable already."""
        if not self.is_local:
            return
        paths = [os.path.join(self.uri, name) for name in names]
        for path in [*paths, *sorted({os.path.dirname(path) for path in paths})]:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def missing(self, names: Sequence[str]) -> list[str]:
        """Of prepared files; in an object store they are not looked for, because only `vacuum` deletes them, after a day."""
        return [name for name in names if self.is_local and not os.path.exists(os.path.join(self.uri, name))]

    def list_times(self, folder: str) -> dict[str, float]:
        """When each file below a folder was written, in seconds since 1970."""
        if self._store is not None:
            return self._store.times(folder)
        found: dict[str, float] = {}
        for path in Path(self.uri, folder).rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    found[path.relative_to(self.uri).as_posix()] = path.stat().st_mtime
        return found

    def delete_all(self, names: Sequence[str]) -> None:
        """Names that do not exist are ignored."""
        if self._store is not None:
            self._store.delete_files(names)
            return
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.uri, name))
