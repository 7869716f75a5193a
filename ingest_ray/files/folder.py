"""A folder of files by names relative to it: on a local disk, in an object store, or on another file system of `pyarrow.fs`.

Raises the file system's own errors (`OSError`, Arrow's errors), which callers translate. Another process sees a file of `put`
whole or not at all: locally because of a rename, on an object store because a put is atomic.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyarrow import fs

from ingest_ray.files.private import make_private_file, private_opener
from ingest_ray.files.store_client import is_store
from ingest_ray.files.store_errors import StoreError
from ingest_ray.files.store_folder import StoreFolder
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.location import Location

_HINTS = {
    errno.ENOSPC: "the disk is full: free space there, or choose another location",
    errno.EDQUOT: "the disk quota is used up: free space there, or choose another location",
    errno.EROFS: "the file system is read-only: choose one that can be written",
    errno.EACCES: "this user may not write there: change its rights, or choose another location",
    errno.ENAMETOOLONG: "the path has a name that is too long for the file system: choose a shorter location, or shorter names",
    errno.EPERM: "this user may not write there: change its rights, or choose another location",
    errno.ENOTDIR: "a part of the path is no directory: choose another location",
    errno.EEXIST: "a part of the path is no directory: choose another location",
}


def hint_for(error: Exception) -> str:
    """How a person can mend a file system's error."""
    if isinstance(error, StoreError) and error.cause is not None:
        return error.cause.hint
    return _HINTS.get(getattr(error, "errno", None) or 0, "check that the location can be reached and written")


class Folder(Protocol):
    has_folders: bool
    """False where names alone make folders: an object store. A file there needs a name of its own for each attempt to write it."""
    uri: str

    def uri_of(self, name: str) -> str:
        """The absolute path or URI of a name, for people and handles."""
        ...

    def put(self, name: str, content: bytes | pa.Buffer, *, is_durable: bool = False) -> None:
        """`is_durable`: the file also survives a power failure."""
        ...

    def get(self, name: str) -> pa.Buffer:
        """The whole file; a memory map where it is local."""
        ...

    def create(self, name: str) -> pa.NativeFile:
        """A stream into a new file; on a local disk other processes see it grow."""
        ...

    def make(self, name: str) -> None: ...

    def move(self, name: str, to: str) -> None: ...

    def exists(self, name: str) -> bool: ...

    def files(self, name: str = "") -> dict[str, int]:
        """The size in bytes of every file below a name; empty where the folder does not exist."""
        ...

    def folders(self, name: str = "") -> list[str]: ...

    def changed_at(self, name: str) -> float:
        """When a file below a name was changed last, in seconds since 1970; 0 where there is none."""
        ...

    def times(self, name: str = "") -> dict[str, float]:
        """When every file below a name was changed last, in seconds since 1970."""
        ...

    def delete(self, name: str) -> None:
        """Deletes a file, or a folder with its content; does nothing where neither exists."""
        ...

    def delete_files(self, names: Iterable[str]) -> None:
        """Names that do not exist are ignored."""
        ...


def open_folder(root: str | Location) -> Folder:
    """Makes no request. Raises `ConfigError` for a URI or an option that cannot be used."""
    location = root if isinstance(root, Location) else Location(root)
    if is_store(location.uri):
        return StoreFolder(location)
    if location.options:
        raise ConfigError(
            f"'{location.uri}' takes no storage_options", hint="they are for object stores: s3://, gs://, az://"
        )
    return FileSystemFolder(location.uri)


class FileSystemFolder:
    """A local disk, or another file system of Arrow, such as `hdfs://`."""

    has_folders = True

    def __init__(self, root: str) -> None:
        is_path = "://" not in root
        if is_path:
            root = str(Path(root).absolute())
        try:
            self._fs, self._path = fs.FileSystem.from_uri(root)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"'{root}' cannot be opened as a folder: {error}") from error
        self._is_local = isinstance(self._fs, fs.LocalFileSystem)
        self._location = Location(self._path if self._is_local else root)
        self.uri = self._location.with_base(self._location.base)

    def uri_of(self, name: str) -> str:
        return self._location.uri_of(name)

    def put(self, name: str, content: bytes | pa.Buffer, *, is_durable: bool = False) -> None:
        path = self._path_of(name)
        if not self._is_local:
            with self._fs.open_output_stream(path) as out:
                out.write(content)
            return
        part = f"{path}.part"
        with open(part, "wb", opener=private_opener) as out:
            out.write(content)
            if is_durable:
                out.flush()
                os.fsync(out.fileno())
        os.rename(part, path)

    def get(self, name: str) -> pa.Buffer:
        path = self._path_of(name)
        with pa.memory_map(path) if self._is_local else self._fs.open_input_file(path) as source:
            return source.read_buffer()

    def create(self, name: str) -> pa.NativeFile:
        if self._is_local:
            make_private_file(self._path_of(name))
        return self._fs.open_output_stream(self._path_of(name))

    def make(self, name: str) -> None:
        self._fs.create_dir(self._path_of(name), recursive=True)

    def move(self, name: str, to: str) -> None:
        self._fs.move(self._path_of(name), self._path_of(to))

    def exists(self, name: str) -> bool:
        return bool(self._fs.get_file_info(self._path_of(name)).type != fs.FileType.NotFound)

    def files(self, name: str = "") -> dict[str, int]:
        infos = self._list(name, recursive=True)
        return {self._name(info): int(info.size or 0) for info in infos if info.type == fs.FileType.File}

    def folders(self, name: str = "") -> list[str]:
        infos = self._list(name, recursive=False)
        return sorted(self._name(info) for info in infos if info.type == fs.FileType.Directory)

    def changed_at(self, name: str) -> float:
        return max(self.times(name).values(), default=0.0)

    def times(self, name: str = "") -> dict[str, float]:
        infos = [info for info in self._list(name, recursive=True) if info.type == fs.FileType.File]
        return {self._name(info): info.mtime_ns / 1e9 for info in infos if info.mtime_ns}

    def delete(self, name: str) -> None:
        path = self._path_of(name)
        try:
            if self._fs.get_file_info(path).type == fs.FileType.File:
                self._fs.delete_file(path)
            else:
                self._fs.delete_dir(path)
        except FileNotFoundError:
            return

    def delete_files(self, names: Iterable[str]) -> None:
        for name in names:
            self.delete(name)

    def _path_of(self, name: str) -> str:
        return f"{self._path}/{name}".rstrip("/")

    def _name(self, info: fs.FileInfo) -> str:
        return str(info.path).removeprefix(self._path).lstrip("/")

    def _list(self, name: str, *, recursive: bool) -> list[fs.FileInfo]:
        selector = fs.FileSelector(self._path_of(name), allow_not_found=True, recursive=recursive)
        infos: list[fs.FileInfo] = self._fs.get_file_info(selector)
        return infos
