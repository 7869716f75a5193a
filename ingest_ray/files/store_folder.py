"""A folder in an object store: names share a prefix. As few requests as the store needs; no markers of folders."""

import io
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pyarrow as pa

from ingest_ray.files.store_client import open_store
from ingest_ray.files.store_errors import as_os_errors
from ingest_ray.sdk.location import Location

T = TypeVar("T")

PART_BYTES = 16 * 1024 * 1024  # what is smaller is written by one request


class StoreFolder:
    has_folders = False

    def __init__(self, location: Location) -> None:
        import obstore

        self._location = location
        self._store = open_store(location)
        self._client: Any = obstore
        self.uri = location.with_base(location.base)

    def uri_of(self, name: str) -> str:
        return self._location.uri_of(name)

    def put(self, name: str, content: bytes | pa.Buffer, *, is_durable: bool = False) -> None:
        body = self._client.Bytes(memoryview(content).cast("B"))
        self._ask(name, lambda: self._client.put(self._store, name, body, use_multipart=len(body) > 4 * PART_BYTES))

    def get(self, name: str) -> pa.Buffer:
        return self._ask(name, lambda: pa.py_buffer(self._client.get(self._store, name).bytes()))

    def open(self, name: str) -> pa.NativeFile:
        """For reading parts: the file's end is read once, and large parts as they are asked for."""
        return pa.PythonFile(_Source(self._ask(name, lambda: self._client.open_reader(self._store, name)), name), "r")

    def create(self, name: str) -> pa.NativeFile:
        out = self._ask(name, lambda: self._client.open_writer(self._store, name, buffer_size=PART_BYTES))
        return pa.PythonFile(_Sink(out, self.uri_of(name)), mode="w")

    def make(self, name: str) -> None:
        """Nothing to do: names make folders."""

    def move(self, name: str, to: str) -> None:
        """Not atomic: a process that dies in between leaves both, with equal content."""
        self._ask(name, lambda: self._client.rename(self._store, name, to))

    def exists(self, name: str) -> bool:
        try:
            self._ask(name, lambda: self._client.head(self._store, name))
        except FileNotFoundError:
            return False
        return True

    def files(self, name: str = "") -> dict[str, int]:
        return {str(item["path"]): int(item["size"]) for item in self._list(name)}

    def folders(self, name: str = "") -> list[str]:
        found = self._ask(name, lambda: self._client.list_with_delimiter(self._store, prefix=name or None))
        return sorted(map(str, found["common_prefixes"]))

    def changed_at(self, name: str) -> float:
        return max(self.times(name).values(), default=0.0)

    def times(self, name: str = "") -> dict[str, float]:
        return {str(item["path"]): item["last_modified"].timestamp() for item in self._list(name)}

    def delete(self, name: str) -> None:
        self.delete_files([*self.files(name), name] if name else self.files())

    def delete_files(self, names: Iterable[str]) -> None:
        """One request for each thousand, where the store can; names that do not exist are ignored."""
        listed = list(names)
        try:
            self._ask("", lambda: self._client.delete(self._store, listed) if listed else None)
        except FileNotFoundError:  # this store says so, and may have stopped there
            for name in listed:
                try:
                    self._ask(name, lambda name=name: self._client.delete(self._store, name))  # type: ignore[misc]
                except FileNotFoundError:
                    continue

    def check(self) -> None:
        """One short request that shows whether the place can be listed. Raises `OSError`."""
        quick = open_store(self._location, is_quick=True)
        self._ask("", lambda: self._client.list_with_delimiter(quick))

    def _list(self, name: str) -> list[dict[str, Any]]:
        listing = lambda: [item for part in self._client.list(self._store, prefix=name or None) for item in part]  # noqa: E731
        return self._ask(name, listing)

    def _ask(self, name: str, request: Callable[[], T]) -> T:
        with as_os_errors(self.uri_of(name) if name else self.uri):
            return request()


class _Sink(io.RawIOBase):
    """Arrow passes buffers; the library's writer takes bytes."""

    def __init__(self, out: Any, uri: str) -> None:
        super().__init__()
        self._out = out
        self._uri = uri

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        copied = bytes(content)
        with as_os_errors(self._uri):
            self._out.write(copied)
        return len(copied)

    def close(self) -> None:
        if not self.closed:
            super().close()
            with as_os_errors(self._uri):
                self._out.close()


class _Source(io.RawIOBase):
    def __init__(self, reader: Any, uri: str) -> None:
        super().__init__()
        self._reader = reader
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with as_os_errors(self._uri):
            return bytes(self._reader.read(size if size >= 0 else None))

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())
