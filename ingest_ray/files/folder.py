"""A folder of files on a local disk or any file system of `pyarrow.fs`, by names relative to it.

Raises what the file system raises (`OSError`, Arrow's errors): whoever uses it says what that means. Another process sees
a file that was put whole or not at all: locally by a rename, on an object store because a put is atomic.
"""

import errno
import os
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from ingest_ray.sdk.errors import ConfigError

_HINTS = {
    errno.ENOSPC: "the disk is full: free space there, or choose another place",
    errno.EDQUOT: "the disk quota is used up: free space there, or choose another place",
    errno.EROFS: "the file system is read-only: choose a place that can be written",
    errno.EACCES: "this user may not write there: change its rights, or choose another place",
    errno.EPERM: "this user may not write there: change its rights, or choose another place",
    errno.ENOTDIR: "a part of the path is no directory: choose another place",
    errno.EEXIST: "a part of the path is no directory: choose another place",
}


def hint_for(error: Exception) -> str:
    """What a person can do about a file system's error."""
    return _HINTS.get(getattr(error, "errno", None) or 0, "check that the place can be reached and written")


class Folder:
    def __init__(self, root: str) -> None:
        is_path = "://" not in root
        if is_path:
            root = str(Path(root).absolute())
        try:
            self._fs, self._path = fs.FileSystem.from_uri(root)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"'{root}' is no place that can be opened: {error}") from error
        self._is_local = isinstance(self._fs, fs.LocalFileSystem)
        self.uri = self._path if self._is_local else root.rstrip("/")

    def uri_of(self, name: str) -> str:
        """The absolute path or URI of a name, for people and handles."""
        return f"{self.uri}/{name}"

    def put(self, name: str, content: bytes | pa.Buffer, *, is_durable: bool = False) -> None:
        """`is_durable`: survives a power failure, too."""
        path = self._at(name)
        if not self._is_local:
            with self._fs.open_output_stream(path) as out:
                out.write(content)
            return
        draft = f"{path}.part"
        with open(draft, "wb") as out:
            out.write(content)
            if is_durable:
                out.flush()
                os.fsync(out.fileno())
        os.rename(draft, path)

    def get(self, name: str) -> pa.Buffer:
        """The whole file; a memory map where it is local."""
        path = self._at(name)
        with pa.memory_map(path) if self._is_local else self._fs.open_input_file(path) as source:
            return source.read_buffer()

    def create(self, name: str) -> pa.NativeFile:
        """A stream into a new file; on a local disk others see it grow."""
        return self._fs.open_output_stream(self._at(name))

    def make(self, name: str) -> None:
        self._fs.create_dir(self._at(name), recursive=True)

    def move(self, name: str, to: str) -> None:
        self._fs.move(self._at(name), self._at(to))

    def exists(self, name: str) -> bool:
        return bool(self._fs.get_file_info(self._at(name)).type != fs.FileType.NotFound)

    def files(self, name: str = "") -> dict[str, int]:
        """Every file below a name, and its bytes; nothing where there is no such folder."""
        found = self._list(name, recursive=True)
        return {self._name(item): int(item.size or 0) for item in found if item.type == fs.FileType.File}

    def folders(self, name: str = "") -> list[str]:
        found = self._list(name, recursive=False)
        return sorted(self._name(item) for item in found if item.type == fs.FileType.Directory)

    def delete(self, name: str) -> None:
        """A file, or a folder with all that is in it; nothing where there is neither."""
        path = self._at(name)
        try:
            if self._fs.get_file_info(path).type == fs.FileType.File:
                self._fs.delete_file(path)
            else:
                self._fs.delete_dir(path)
        except FileNotFoundError:
            return

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}".rstrip("/")

    def _name(self, item: fs.FileInfo) -> str:
        return str(item.path).removeprefix(self._path).lstrip("/")

    def _list(self, name: str, *, recursive: bool) -> list[fs.FileInfo]:
        selector = fs.FileSelector(self._at(name), allow_not_found=True, recursive=recursive)
        found: list[fs.FileInfo] = self._fs.get_file_info(selector)
        return found
