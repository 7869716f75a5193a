"""Staging in an object store that lives as long as one run: fast, capped, gone with its owner.

The provider knows the store by four methods only; the store decides where the bytes are and enforces the cap.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol
from urllib.parse import quote

import pyarrow as pa

from ingest_ray.sdk.contracts import StageWriter
from ingest_ray.sdk.errors import StagingLost, StagingTooLarge
from ingest_ray.sdk.types import Handle, PageInfo
from ingest_ray.staging.pages import decode
from ingest_ray.staging.writer import SliceWriter, draft


class PageStore(Protocol):
    """Bytes by key, grouped by run. May be called from several processes at once."""

    def put(self, run_id: str, page: pa.Buffer) -> str:
        """Keeps a page and returns its key, unique for ever.

        Raises:
            StagingTooLarge: with this page the run would hold more than the cap; the page is not kept.
            StagingUnavailable: the store does not answer.
        """
        ...

    def get(self, key: str) -> pa.Buffer | None:
        """None where the page is gone, whatever the reason."""
        ...

    def drop(self, keys: Sequence[str]) -> None:
        """Unknown keys are ignored."""
        ...

    def sweep(self, run_id: str) -> int:
        """Drops all pages of a run; returns their bytes."""
        ...

    def runs(self) -> Sequence[str]: ...


class MemoryPages:
    """Pages in this process, for runs that have only one."""

    def __init__(self, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._pages: dict[str, tuple[str, pa.Buffer]] = {}
        self._count = 0

    def put(self, run_id: str, page: pa.Buffer) -> str:
        held = sum(content.size for owner, content in self._pages.values() if owner == run_id)
        refuse_above_cap(run_id, held + page.size, self._cap_bytes)
        self._count += 1
        key = f"{quote(run_id, safe='')}/{self._count}"
        self._pages[key] = (run_id, page)
        return key

    def get(self, key: str) -> pa.Buffer | None:
        found = self._pages.get(key)
        return found[1] if found else None

    def drop(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._pages.pop(key, None)

    def sweep(self, run_id: str) -> int:
        mine = {key: content.size for key, (owner, content) in self._pages.items() if owner == run_id}
        self.drop(list(mine))
        return sum(mine.values())

    def runs(self) -> Sequence[str]:
        return sorted({owner for owner, _ in self._pages.values()})


def refuse_above_cap(run_id: str, wanted_bytes: int, cap_bytes: int) -> None:
    if wanted_bytes > cap_bytes:
        raise StagingTooLarge(
            f"run '{run_id}' would hold {wanted_bytes} bytes in the object store, and {cap_bytes} is the cap",
            hint="choose staging provider 'files', or raise staging.cap_bytes",
        )


class ObjectStaging:
    provider = "object-store"

    def __init__(self, store: PageStore, *, page_bytes: int) -> None:
        self._store = store
        self._page_bytes = page_bytes

    def open(self, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> StageWriter:
        uri = f"object-store:{quote(run_id, safe='')}/{slice_id}/{attempt}"
        handle = draft(self.provider, uri, run_id, slice_id, attempt, schema)
        return SliceWriter(_RunPages(self._store, run_id), handle, schema, self._page_bytes)

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


class _RunPages:
    """The pages of one attempt; the handle is their manifest, and nothing else names them."""

    def __init__(self, store: PageStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def put(self, number: int, content: pa.Buffer) -> str:
        return self._store.put(self._run_id, content)

    def seal(self, handle: Handle) -> None:
        pass

    def discard(self, pages: list[PageInfo]) -> None:
        self._store.drop([page.name for page in pages])
