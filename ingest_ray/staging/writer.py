"""Writes one attempt of one slice: pages first, the manifest last."""

from typing import Protocol

import pyarrow as pa

from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import Handle, PageInfo
from ingest_ray.staging.pages import Pager, check_schema, describe, encode, fingerprint


class Shelf(Protocol):
    """Where one provider puts the pages of one attempt."""

    def put(self, number: int, content: pa.Buffer) -> str:
        """Returns the page's name."""
        ...

    def seal(self, handle: Handle) -> None:
        """Makes the attempt exist for others."""
        ...

    def discard(self, pages: list[PageInfo]) -> None: ...


class SliceWriter:
    def __init__(self, shelf: Shelf, draft: Handle, schema: pa.Schema, page_bytes: int) -> None:
        self._shelf = shelf
        self._draft = draft
        self._schema = schema
        self._pager = Pager(page_bytes)
        self._hash = RowHash()
        self._pages: list[PageInfo] = []

    def write(self, batch: pa.RecordBatch) -> None:
        check_schema(self._draft.slice_id, batch, self._schema)
        self._hash.update(batch)
        for page in self._pager.add(batch):
            self._put(page)

    def close(self) -> Handle:
        for page in self._pager.rest():
            self._put(page)
        handle = self._draft.model_copy(
            update={
                "pages": tuple(self._pages),
                "rows": self._hash.rows,
                "bytes": sum(page.bytes for page in self._pages),
                "row_hash": self._hash.hexdigest(),
            }
        )
        self._shelf.seal(handle)
        return handle

    def abort(self) -> None:
        self._shelf.discard(self._pages)

    def _put(self, page: pa.RecordBatch) -> None:
        content = encode(page)
        self._pages.append(describe(self._shelf.put(len(self._pages), content), page, content))


def draft(provider: str, uri: str, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> Handle:
    return Handle(
        provider=provider,
        uri=uri,
        run_id=run_id,
        slice_id=slice_id,
        attempt=attempt,
        rows=0,
        bytes=0,
        schema_fingerprint=fingerprint(schema),
        row_hash="",
    )
