"""Staging in an object store that lives as long as one run: fast, capped, and lost with its owner process.

A `PageStore` decides where the bytes are and enforces the cap.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol
from urllib.parse import quote

import pyarrow as pa

from ingest_ray.sdk.contracts import StageWriter
from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sdk.types import Handle, PageInfo
from ingest_ray.staging.page_index import PageIndex
from ingest_ray.staging.pages import decode
from ingest_ray.staging.writer import SliceWriter, empty_handle


class PageStore(Protocol):
    """Bytes by key, grouped by run. May be called from several processes at once."""

    def put(self, run_id: str, page: pa.Buffer) -> str:
        """Stores a page and returns its key, which no other page ever gets.

        Raises:
            StagingTooLarge: with this page the run would hold more than the cap; the page is not stored.
            StagingUnavailable: the store does not answer.
        """
        ...

    def get(self, key: str) -> pa.Buffer | None:
        """None where the page is gone, for any reason."""
        ...

    def drop(self, keys: Sequence[str]) -> None:
        """Unknown keys are ignored."""
        ...

    def sweep(self, run_id: str) -> int:
        """Drops all pages of a run; returns their bytes."""
        ...

    def runs(self) -> Sequence[str]: ...


class MemoryPages:
    """A `PageStore` in this process, for runs that have only one."""

    def __init__(self, cap_bytes: int) -> None:
        self._index = PageIndex[pa.Buffer](cap_bytes)

    def put(self, run_id: str, page: pa.Buffer) -> str:
        self._index.refuse_above_cap(run_id, page.size)
        return self._index.add(run_id, page, page.size)

    def get(self, key: str) -> pa.Buffer | None:
        return self._index.get(key)

    def drop(self, keys: Sequence[str]) -> None:
        self._index.drop(keys)

    def sweep(self, run_id: str) -> int:
        return self._index.sweep(run_id)

    def runs(self) -> Sequence[str]:
        return self._index.runs()


class ObjectStaging:
    provider = "object-store"

    def __init__(self, store: PageStore, *, page_bytes: int) -> None:
        self._store = store
        self._page_bytes = page_bytes

    def open(self, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> StageWriter:
        uri = f"object-store:{quote(run_id, safe='')}/{slice_id}/{attempt}"
        handle = empty_handle(self.provider, uri, run_id, slice_id, attempt, schema)
        return SliceWriter(_StoredAttempt(self._store, run_id), handle, schema, self._page_bytes)

    def read(self, handle: Handle) -> Iterator[pa.RecordBatch]:
        if sum(page.rows for page in handle.pages) != handle.rows:
            raise StagingLost(f"the manifest of '{handle.uri}' contradicts itself")
        for page in handle.pages:
            content = self._store.get(page.name)
            if content is None:
                raise StagingLost(f"page '{page.name}' of '{handle.uri}' is gone")
            yield decode(handle, page, content)

    def drop(self, handle: Handle) -> None:
        self._store.drop([page.name for page in handle.pages])

    def sweep(self, run_id: str) -> int:
        return self._store.sweep(run_id)

    def runs(self) -> Sequence[str]:
        return self._store.runs()


class _StoredAttempt:
    """One attempt's pages in the store. Only the handle names them, so it is their manifest."""

    def __init__(self, store: PageStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def write_page(self, number: int, content: pa.Buffer) -> str:
        return self._store.put(self._run_id, content)

    def publish(self, handle: Handle) -> None:
        pass

    def delete(self, pages: list[PageInfo]) -> None:
        self._store.drop([page.name for page in pages])
