"""Staging in files: `<root>/<run>/<slice>/<attempt>/page-00000.arrow` and, last, `manifest.json`.

The root is a local path or any URI of `pyarrow.fs` (`s3://`, `gs://`, `hdfs://`, ...). Local pages are read through a memory map.
Pages are not forced to the disk: after a power failure their checksums reveal lost pages, and the slice is read again.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote, unquote

import pyarrow as pa
from pydantic import ValidationError

from ingest_ray.files.folder import Folder, hint_for
from ingest_ray.sdk.contracts import StageWriter
from ingest_ray.sdk.errors import StagingLost, StagingUnavailable
from ingest_ray.sdk.types import Handle, PageInfo
from ingest_ray.staging.pages import decode
from ingest_ray.staging.writer import SliceWriter, empty_handle

MANIFEST = "manifest.json"

T = TypeVar("T")


class FileStaging:
    provider = "files"

    def __init__(self, root: str, *, page_bytes: int) -> None:
        self._page_bytes = page_bytes
        self._folder = Folder(root)

    def open(self, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> StageWriter:
        name = f"{quote(run_id, safe='')}/{slice_id}/{attempt}"
        attempt_folder = _AttemptFolder(self._folder, name)
        attempt_folder.clear()  # removes the pages that a dead process left of the same attempt
        handle = empty_handle(self.provider, self._folder.uri_of(name), run_id, slice_id, attempt, schema)
        return SliceWriter(attempt_folder, handle, schema, self._page_bytes)

    def load(self, uri: str) -> Handle:
        """Reads and checks the manifest at `uri`; raises `StagingLost` for an attempt that was not finished."""
        content = self._read(f"{self._name(uri)}/{MANIFEST}", label=f"the manifest of '{uri}'")
        try:
            handle = Handle.model_validate_json(content.to_pybytes())
        except ValidationError as error:
            raise StagingLost(f"the manifest of '{uri}' cannot be read: {error.errors()[0]['msg']}") from error
        if handle.uri != uri or sum(page.rows for page in handle.pages) != handle.rows:
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
        _run_on_storage(handle.uri, lambda: self._folder.delete(name))

    def sweep(self, run_id: str) -> int:
        name = quote(run_id, safe="")
        sizes = _run_on_storage(self._folder.uri_of(name), lambda: self._folder.files(name))
        _run_on_storage(self._folder.uri_of(name), lambda: self._folder.delete(name))
        return sum(sizes.values())

    def runs(self) -> Sequence[str]:
        return [unquote(name) for name in _run_on_storage(self._folder.uri, self._folder.folders)]

    def _name(self, uri: str) -> str:
        if not uri.startswith(self._folder.uri_of("")):
            raise StagingLost(f"'{uri}' is not under the staging root '{self._folder.uri}'")
        return uri.removeprefix(self._folder.uri_of(""))

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

    def clear(self) -> None:
        def clear() -> None:
            self._folder.delete(self._name)
            self._folder.make(self._name)

        _run_on_storage(self._folder.uri_of(self._name), clear)

    def write_page(self, number: int, content: pa.Buffer) -> str:
        page = f"page-{number:05}.arrow"
        self._write_file(page, content, is_durable=False)
        return page

    def publish(self, handle: Handle) -> None:
        self._write_file(MANIFEST, handle.model_dump_json().encode(), is_durable=True)

    def delete(self, pages: list[PageInfo]) -> None:
        _run_on_storage(self._folder.uri_of(self._name), lambda: self._folder.delete(self._name))

    def _write_file(self, file: str, content: bytes | pa.Buffer, *, is_durable: bool) -> None:
        name = f"{self._name}/{file}"
        _run_on_storage(self._folder.uri_of(name), lambda: self._folder.put(name, content, is_durable=is_durable))


def _run_on_storage(uri: str, action: Callable[[], T]) -> T:
    """Translates storage errors: the message names `uri`, and the hint the way to mend it."""
    try:
        return action()
    except (OSError, pa.ArrowException) as error:
        raise StagingUnavailable(f"staging at '{uri}' failed: {error}", hint=hint_for(error)) from error
