"""Staging in files: `<root>/<run>/<slice>/<attempt>/page-00000.arrow` and, last, `manifest.json`.

The root is a local path, an object store (`s3://`, `gs://`, `az://`) or any other URI of `pyarrow.fs`. Local pages are read through a
memory map. Pages are not forced to the disk: after a power failure their checksums reveal lost pages, and the slice is read again.

In an object store a slice of one page costs five requests: page and manifest are written, read, and deleted together. Each attempt's
pages have names of their own there, so that what a dead process left under the same number need not be looked for: the sweep of the
run removes it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote, unquote
from uuid import uuid4

import pyarrow as pa
from pydantic import ValidationError

from ingest_ray.files.folder import Folder, hint_for, open_folder
from ingest_ray.files.store_errors import is_final
from ingest_ray.sdk.contracts import StageWriter
from ingest_ray.sdk.errors import StagingDenied, StagingLost, StagingUnavailable
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.types import Handle, PageInfo
from ingest_ray.staging.pages import decode
from ingest_ray.staging.writer import SliceWriter, empty_handle

MANIFEST = "manifest.json"

T = TypeVar("T")


class FileStaging:
    provider = "files"

    def __init__(self, root: str | Location, *, page_bytes: int) -> None:
        self._page_bytes = page_bytes
        self._root = root if isinstance(root, Location) else Location(root)
        self._folder = open_folder(self._root)

    def open(self, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> StageWriter:
        name = f"{quote(run_id, safe='')}/{slice_id}/{attempt}"
        attempt_folder = _AttemptFolder(self._folder, name)
        if self._folder.has_folders:
            attempt_folder.clear()  # removes the pages that a dead process left of the same attempt
        handle = empty_handle(self.provider, self._folder.uri_of(name), run_id, slice_id, attempt, schema)
        return SliceWriter(attempt_folder, handle, schema, self._page_bytes)

    def load(self, uri: str) -> Handle:
        """Reads and checks the manifest at `uri`; raises `StagingLost` for an attempt that was not finished."""
        name = self._name(uri)
        content = self._read(f"{name}/{MANIFEST}", label=f"the manifest of '{uri}'")
        try:
            handle = Handle.model_validate_json(content.to_pybytes())
        except ValidationError as error:
            raise StagingLost(f"the manifest of '{uri}' cannot be read: {error.errors()[0]['msg']}") from error
        if self._name(handle.uri) != name or sum(page.rows for page in handle.pages) != handle.rows:
            raise StagingLost(f"the manifest of '{uri}' contradicts itself")
        return handle

    def read(self, handle: Handle) -> Iterator[pa.RecordBatch]:
        if self.load(handle.uri) != handle:
            raise StagingLost(f"the manifest of '{handle.uri}' is not the one that was handed out")
        name = self._name(handle.uri)
        for page in handle.pages:
            content = self._read(f"{name}/{page.name}", label=f"page '{page.name}' of '{handle.uri}'")
            yield decode(handle, page, content)

    def drop(self, handle: Handle) -> None:
        name = self._name(handle.uri)
        if self._folder.has_folders:
            _run_on_storage(handle.uri, lambda: self._folder.delete(name))
            return
        files = [*(page.name for page in handle.pages), MANIFEST]
        _run_on_storage(handle.uri, lambda: self._folder.delete_files(f"{name}/{file}" for file in files))

    def sweep(self, run_id: str) -> int:
        name = quote(run_id, safe="")
        sizes = _run_on_storage(self._folder.uri_of(name), lambda: self._folder.files(name))
        if self._folder.has_folders:
            _run_on_storage(self._folder.uri_of(name), lambda: self._folder.delete(name))
        else:
            _run_on_storage(self._folder.uri_of(name), lambda: self._folder.delete_files(sizes))
        return sum(sizes.values())

    def runs(self) -> Sequence[str]:
        return [unquote(name) for name in _run_on_storage(self._folder.uri, self._folder.folders)]

    def _name(self, uri: str) -> str:
        """The name below the root. Older versions wrote names after the query of a URI."""
        location = Location(uri)
        for found, root in ((location.base, Location(self._folder.uri).base), (uri, self._root.uri.rstrip("/"))):
            if found.startswith(f"{root}/"):
                return found.removeprefix(f"{root}/")
        raise StagingLost(f"'{uri}' is not under the staging root '{self._folder.uri}'")

    def _read(self, name: str, label: str) -> pa.Buffer:
        def get() -> pa.Buffer:
            try:
                return self._folder.get(name)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise StagingLost(f"{label} is gone") from error

        return _run_on_storage(self._folder.uri_of(name), get)


class _AttemptFolder:
    """The folder of one attempt's pages."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._mark = "" if folder.has_folders else f"-{uuid4().hex[:12]}"

    def clear(self) -> None:
        def clear() -> None:
            self._folder.delete(self._name)
            self._folder.make(self._name)

        _run_on_storage(self._folder.uri_of(self._name), clear)

    def write_page(self, number: int, content: pa.Buffer) -> str:
        page = f"page-{number:05}{self._mark}.arrow"
        self._write_file(page, content, is_durable=False)
        return page

    def publish(self, handle: Handle) -> None:
        self._write_file(MANIFEST, handle.model_dump_json().encode(), is_durable=True)

    def delete(self, pages: list[PageInfo]) -> None:
        if self._folder.has_folders:
            _run_on_storage(self._folder.uri_of(self._name), lambda: self._folder.delete(self._name))
            return
        names = [f"{self._name}/{page.name}" for page in pages]
        _run_on_storage(self._folder.uri_of(self._name), lambda: self._folder.delete_files(names))

    def _write_file(self, file: str, content: bytes | pa.Buffer, *, is_durable: bool) -> None:
        name = f"{self._name}/{file}"
        _run_on_storage(self._folder.uri_of(name), lambda: self._folder.put(name, content, is_durable=is_durable))


def _run_on_storage(uri: str, action: Callable[[], T]) -> T:
    """Translates storage errors: the message names `uri`, and the hint the way to mend it."""
    try:
        return action()
    except (OSError, pa.ArrowException) as error:
        kind = StagingDenied if is_final(error) else StagingUnavailable
        raise kind(f"staging at '{uri}' failed: {error}", hint=hint_for(error)) from error
