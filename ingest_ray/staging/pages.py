"""Cuts a stream of batches into pages, encodes pages, and decodes and checks them: the same for every provider.

A page is one record batch as an Arrow IPC file with its schema, so that it can be read alone and without a copy. Pages hold between
one and two times the target size; only the last page of a slice and a page before a single larger row are smaller.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator

import pyarrow as pa

from ingest_ray.sdk.errors import SourceChanged, StagingLost
from ingest_ray.sdk.types import Handle, PageInfo


def schema_fingerprint(schema: pa.Schema) -> str:
    """Changes with a column's name, type, nullability or position; metadata does not count."""
    text = "\n".join(f"{field.name}\t{field.type}\t{field.nullable}" for field in schema)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_schema(slice_id: str, batch: pa.RecordBatch, schema: pa.Schema) -> None:
    """Every batch of a slice has the schema that was declared before the first row."""
    if batch.schema.equals(schema):
        return
    declared = {field.name: field for field in schema}
    changed = [field.name for field in batch.schema if declared.get(field.name) != field]
    missing = [name for name in declared if name not in batch.schema.names]
    names = ", ".join(f"'{name}'" for name in [*changed, *missing]) or "the order of columns"
    raise SourceChanged(f"slice '{slice_id}' was read with another schema than declared: {names}")


class Pager:
    """Collects small batches and cuts large ones. Holds at most one page's rows."""

    def __init__(self, page_bytes: int) -> None:
        self._target = page_bytes
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        for part in _cut(batch, self._target):
            if self._waiting_bytes + part.nbytes > 2 * self._target:
                yield from self.flush()
            self._waiting.append(part)
            self._waiting_bytes += part.nbytes
            if self._waiting_bytes >= self._target:
                yield from self.flush()

    def flush(self) -> Iterator[pa.RecordBatch]:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)


def joined(batches: Iterable[pa.RecordBatch], least_bytes: int) -> Iterator[pa.RecordBatch]:
    """Joins small batches until they have `least_bytes`; larger ones pass without a copy. Empty ones are left out."""
    waiting: list[pa.RecordBatch] = []
    waiting_bytes = 0
    for batch in batches:
        if batch.num_rows:
            waiting.append(batch)
            waiting_bytes += batch.nbytes
        if waiting_bytes >= least_bytes:
            yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)
            waiting, waiting_bytes = [], 0
    if waiting:
        yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)


def _cut(batch: pa.RecordBatch, target: int) -> Iterator[pa.RecordBatch]:
    """Halves a batch until each part is at most the target, or one row: rows may differ in size."""
    if batch.num_rows == 0:
        return
    if batch.nbytes <= target or batch.num_rows == 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _cut(batch.slice(0, half), target)
    yield from _cut(batch.slice(half), target)


def encode(page: pa.RecordBatch) -> pa.Buffer:
    """Measures the size first, because a growing buffer would copy the page several times."""
    size = pa.MockOutputStream()
    _write(page, size)
    content = pa.allocate_buffer(size.size())
    _write(page, pa.FixedSizeBufferWriter(content))
    return content


def _write(page: pa.RecordBatch, out: pa.NativeFile) -> None:
    with pa.ipc.new_file(out, page.schema) as writer:
        writer.write_batch(page)


def page_info(name: str, page: pa.RecordBatch, content: pa.Buffer) -> PageInfo:
    return PageInfo(name=name, rows=page.num_rows, bytes=content.size, checksum=checksum(content))


def checksum(content: pa.Buffer) -> str:
    return f"crc32:{zlib.crc32(content):08x}"


def decode(handle: Handle, page: PageInfo, content: pa.Buffer) -> pa.RecordBatch:
    """The page's rows, after all checks; without a copy where the content is a memory map."""
    label = f"page '{page.name}' of '{handle.uri}'"
    if content.size != page.bytes:
        raise StagingLost(f"{label} has {content.size} bytes instead of {page.bytes}")
    if checksum(content) != page.checksum:
        raise StagingLost(f"{label} is damaged: its checksum is not '{page.checksum}'")
    try:
        reader = pa.ipc.open_file(content)
        fingerprint = schema_fingerprint(reader.schema)
        batch = reader.get_batch(0)
    except (pa.ArrowInvalid, OSError) as error:
        raise StagingLost(f"{label} is no Arrow file: {error}") from error
    if fingerprint != handle.schema_fingerprint:
        raise StagingLost(f"{label} has schema '{fingerprint}' instead of '{handle.schema_fingerprint}'")
    if batch.num_rows != page.rows:
        raise StagingLost(f"{label} has {batch.num_rows} rows instead of {page.rows}")
    return batch
