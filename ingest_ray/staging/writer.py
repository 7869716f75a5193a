"""Writes one attempt of one slice: pages first, the manifest last."""

from typing import Protocol

import pyarrow as pa

from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import Handle, PageInfo
from ingest_ray.staging.pages import Pager, check_schema, encode, page_info, schema_fingerprint


class AttemptPages(Protocol):
    """The pages of one attempt at one provider."""

    def write_page(self, number: int, content: pa.Buffer) -> str:
        """Returns the page's name."""
        ...

    def publish(self, handle: Handle) -> None:
        """Makes the attempt visible to readers."""
        ...

    def delete(self, pages: list[PageInfo]) -> None: ...


class SliceWriter:
    """`handle` describes the attempt before its first page."""

    def __init__(self, attempt: AttemptPages, handle: Handle, schema: pa.Schema, page_bytes: int) -> None:
        self._attempt = attempt
        self._handle = handle
        self._schema = schema
        self._pager = Pager(page_bytes)
        self._hash = RowHash()
        self._pages: list[PageInfo] = []

    def write(self, batch: pa.RecordBatch) -> None:
        check_schema(self._handle.slice_id, batch, self._schema)
        self._hash.update(batch)
        for page in self._pager.add(batch):
            self._write_page(page)

    def close(self) -> Handle:
        for page in self._pager.flush():
            self._write_page(page)
        handle = self._handle.model_copy(
            update={
                "pages": tuple(self._pages),
                "rows": self._hash.rows,
                "bytes": sum(page.bytes for page in self._pages),
                "row_hash": self._hash.hexdigest(),
            }
        )
        self._attempt.publish(handle)
        return handle

    def abort(self) -> None:
        self._attempt.delete(self._pages)

    def _write_page(self, page: pa.RecordBatch) -> None:
        content = encode(page)
        name = self._attempt.write_page(len(self._pages), content)
        self._pages.append(page_info(name, page, content))


def empty_handle(provider: str, uri: str, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> Handle:
    """The handle of an attempt before its first page."""
    return Handle(
        provider=provider,
        uri=uri,
        run_id=run_id,
        slice_id=slice_id,
        attempt=attempt,
        rows=0,
        bytes=0,
        schema_fingerprint=schema_fingerprint(schema),
        row_hash="",
    )
