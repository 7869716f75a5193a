"""How pyiceberg reaches the files of tables: durable on a local disk before anything names them, by few requests in an object store.

pyiceberg writes a table's metadata without `fsync`; after a power failure the catalog, a database that is durable, could name a file
that is empty. And Arrow begins an upload in parts for every file that it opens, three requests for a file of any size; where it may
open later, a file of less than one part is one request (`allow_delayed_open`,
https://arrow.apache.org/docs/python/generated/pyarrow.fs.S3FileSystem.html).
"""

import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import fs
from pyiceberg.io import S3_RETRY_STRATEGY_IMPL
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.utils.concurrent import ExecutorFactory

from ingest_ray.sdk.errors import SinkRejected


class DurableFileIO(PyArrowFileIO):
    """Named by the catalog property `py-io-impl` for warehouses in local folders."""

    def new_output(self, location: str) -> PyArrowFile:
        plain = super().new_output(location)
        return _DurableFile(location, plain._path, plain._filesystem)


class ObjectFileIO(PyArrowFileIO):
    """Named by the catalog property `py-io-impl` for other warehouses."""

    def _initialize_s3_fs(self, netloc: str | None) -> fs.FileSystem:
        plain = super()._initialize_s3_fs(netloc)
        if S3_RETRY_STRATEGY_IMPL in self.properties:  # which a file system does not tell
            return plain
        make, (options,) = plain.__reduce__()
        return make({**options, "allow_delayed_open": True})


class _DurableFile(PyArrowFile):
    def create(self, overwrite: bool = False) -> Any:
        return _DurableStream(super().create(overwrite), self._path)


class _DurableStream:
    """Writes through to an Arrow stream, and makes the file durable when it is closed."""

    def __init__(self, out: pa.NativeFile, path: str) -> None:
        self._out = out
        self._path = path

    def write(self, content: bytes) -> int:
        self._out.write(content)
        return len(content)

    def tell(self) -> int:
        return int(self._out.tell())

    def close(self) -> None:
        if self._out.closed:
            return
        self._out.close()
        make_durable([self._path, os.path.dirname(self._path)])

    def __enter__(self) -> "_DurableStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_files_durable(locations: Sequence[str]) -> None:
    """The files of local locations, at the same time: the file system's journal takes many with one write. Then their folders."""
    paths = [path for path in map(local_path, locations) if path is not None]
    if not paths:
        return
    list(ExecutorFactory.get_or_create().map(lambda path: make_durable([path]), paths))
    make_durable(sorted({os.path.dirname(path) for path in paths}))


def make_durable(paths: list[str]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def local_path(location: str) -> str | None:
    """The path of a local file; None for an object store."""
    return location.removeprefix("file://") if location.startswith(("/", "file:///")) else None


def arrow_io(table: Table) -> PyArrowFileIO:
    """The table's files, where Arrow reaches them: folders can be listed then."""
    if not isinstance(table.io, PyArrowFileIO):
        raise SinkRejected(
            f"the files of table '{'.'.join(table.name())}' are reached through {type(table.io).__name__}, which lists none",
            hint="leave py-io-impl out of options",
        )
    return table.io


def file_system_of(io: PyArrowFileIO, location: str) -> tuple[fs.FileSystem, str]:
    """Arrow's file system of a location, and the path in it."""
    found = PyArrowFileIO.new_input(io, location)
    return found._filesystem, found._path
