"""Compacts the small files of a table that has a layout: by partition, with rows in the order of `cluster_by`.

Each commit takes a bounded part of the work and removes the very files that it read, so a commit that changed one of them meanwhile
makes it fail, and nothing is lost.
"""

import datetime as dt
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import Fenced, IngestError, SinkUnavailable
from ingest_ray.sdk.types import Layout, Target
from ingest_ray.sinks.delta.errors import translate_error
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.commits import commit_properties
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.log.snapshot import forget_table, newest_table
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.maintenance import MaintenanceReport
from ingest_ray.sinks.parquet import RollingParquetWriter, WrittenFile

log = logging.getLogger(__name__)

COMMIT_BYTES = 1024 * 1024 * 1024  # what one commit reads: more is the work of the next one
ATTEMPTS = 5  # a live run may change a file at the same time

PropertiesOf = Callable[[], CommitProperties]


@dataclass(frozen=True)
class SmallFile:
    """`path`: as the log has it. `values`: of its partition, by name."""

    path: str
    bytes: int
    values: tuple[tuple[str, Any], ...]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


def compaction_properties() -> CommitProperties:
    """Of a commit that no run makes."""
    return CommitProperties(max_commit_retries=0)


def can_compact(table: DeltaTable) -> bool:
    """False for partitions whose values this module does not write as the library does."""
    schema = pa.schema(table.schema().to_arrow())
    return all(_is_written_exactly(schema.field(name).type) for name in table.metadata().partition_columns)


def compact_if_due(table: DeltaTable, files: TableFiles, target: Target, epoch: int) -> DeltaTable:
    """Before the first commit of a run, under its epoch; a failure is logged only, and the next run tries it again.

    The caller holds `files.lock`.
    """
    layout = target.layout
    if layout is None or not layout.compact_after or not can_compact(table):
        return table
    most = max(map(len, _small_files(table, layout).values()), default=0)
    if most <= layout.compact_after:
        return table
    try:
        _compact_once(table, files, layout, commit_properties(target, epoch))
    except Exception as error:
        forget_table(files)
        found = error if isinstance(error, IngestError) else translate_error(files.uri, error)
        if isinstance(found, Fenced):
            raise
        log.warning("the small files of '%s' were not compacted: %s", files.uri, found)
    return newest_table(files) or table


def compact_table(files: TableFiles, layout: Layout, properties_of: PropertiesOf) -> MaintenanceReport:
    total = MaintenanceReport(location=files.uri)
    failures = 0
    while True:
        with files.lock:
            table = newest_table(files)
            if table is None:
                return total
            try:
                done = _compact_once(table, files, layout, properties_of())
            except Exception as error:
                forget_table(files)
                found = error if isinstance(error, IngestError) else translate_error(files.uri, error)
                failures += 1
                if not isinstance(found, SinkUnavailable) or failures >= ATTEMPTS:
                    raise found from error
                continue
        if done is None:
            return total
        counts = ("files_added", "files_removed", "bytes_added", "bytes_removed")
        total = total.model_copy(update={name: getattr(total, name) + getattr(done, name) for name in counts})


def _compact_once(
    table: DeltaTable, files: TableFiles, layout: Layout, properties: CommitProperties
) -> MaintenanceReport | None:
    """One commit; None where there is nothing to do."""
    groups = _next_groups(_small_files(table, layout))
    if not groups:
        return None
    schema = pa.schema(table.schema().to_arrow())
    partitions = table.metadata().partition_columns
    own = pa.schema([field for field in schema if field.name not in partitions])
    now_ms = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = []
    added: list[WrittenFile] = []
    for group in groups:
        for written in _rewrite(files, group, own, layout):
            added.append(written)
            path = f"{group[0].folder}/{written.name}".lstrip("/")
            values = {name: _text(value) for name, value in group[0].values}
            actions.append(AddAction(path, written.bytes, values, now_ms, False, written.stats))
        for file in group:
            values = {name: _text(value) for name, value in file.values}
            actions.append(RemoveAction(file.path, False, now_ms, file.bytes, values))
    reached("compact:before-commit")
    table.create_write_transaction(
        actions,
        "append",
        table.schema(),
        partition_by=list(partitions) or None,
        commit_properties=properties,
        post_commithook_properties=AFTER_COMMIT,
    )
    removed = [file for group in groups for file in group]
    return MaintenanceReport(
        location=files.uri,
        files_added=len(added),
        files_removed=len(removed),
        bytes_added=sum(file.bytes for file in added),
        bytes_removed=sum(file.bytes for file in removed),
    )


def _small_files(table: DeltaTable, layout: Layout) -> dict[tuple[Any, ...], list[SmallFile]]:
    """Of each partition, those of less than half the target size."""
    names = table.metadata().partition_columns
    found: dict[tuple[Any, ...], list[SmallFile]] = defaultdict(list)
    rows = pa.table(table.get_add_actions(flatten=True))
    columns = [rows.column(f"partition.{name}").to_pylist() for name in names]
    for number, (path, size) in enumerate(
        zip(rows.column("path").to_pylist(), rows.column("size_bytes").to_pylist(), strict=True)
    ):
        if size < layout.target_file_bytes // 2:
            values = tuple((name, column[number]) for name, column in zip(names, columns, strict=True))
            found[values].append(SmallFile(path, size, values))
    return found


def _next_groups(small: dict[tuple[Any, ...], list[SmallFile]]) -> list[list[SmallFile]]:
    """Files of one partition that become one or a few; at most `COMMIT_BYTES`, and at least one group."""
    groups: list[list[SmallFile]] = []
    size = 0
    for found in sorted(small.values(), key=len, reverse=True):
        group: list[SmallFile] = []
        for file in found:
            if size + file.bytes > COMMIT_BYTES and (groups or len(group) > 1):
                break
            group.append(file)
            size += file.bytes
        if len(group) > 1:
            groups.append(group)
        if size >= COMMIT_BYTES:
            break
    return groups


def _rewrite(files: TableFiles, group: Sequence[SmallFile], schema: pa.Schema, layout: Layout) -> Sequence[WrittenFile]:
    folder = unquote(group[0].folder)
    prefix = f"{folder}/" if folder else ""
    writer = RollingParquetWriter(schema, lambda name: files.create(prefix + name), file_bytes=layout.target_file_bytes)
    try:
        for batch in sorted_rows(_read(files, group, schema), schema, layout.cluster_by):
            writer.write(batch)
        written = writer.close()
        files.make_durable([prefix + file.name for file in written])
        return written
    except BaseException:
        writer.abort()
        files.delete_all([prefix + name for name in writer.names])
        raise


def _read(files: TableFiles, group: Sequence[SmallFile], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """NULL in columns that were added after a file was written."""
    for file in group:
        with files.open(unquote(file.path)) as source:
            parquet = pq.ParquetFile(source)
            present = [name for name in schema.names if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(columns=present):
                arrays = [
                    batch.column(field.name).cast(field.type)
                    if field.name in present
                    else pa.nulls(batch.num_rows, field.type)
                    for field in schema
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _is_written_exactly(kind: pa.DataType) -> bool:
    is_number = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return bool(is_number or pa.types.is_string(kind) or pa.types.is_date32(kind))


def _text(value: Any) -> str | None:
    """https://github.com/delta-io/delta/blob/master/PROTOCOL.md#partition-value-serialization"""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, dt.date) else str(value)
