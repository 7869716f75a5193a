"""Writes data files again: with wider columns, in another layout, as fewer files, or without rows that are gone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Layout, Target
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived
from ingest_ray.sinks.parquet_tables.data_files import read_files, write_all
from ingest_ray.sinks.parquet_tables.manifest import DataFile, Manifest
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.value_conversion import convert_batch

COMPACTED_BYTES = 1024 * 1024 * 1024  # what one commit of a compaction reads


def rewrite_table(
    folder: TableFolder, manifest: Manifest, schema: pa.Schema, partition_by: Sequence[str], target: Target
) -> list[DataFile]:
    """All rows as `schema`: values are converted, derived partitions derived again."""
    own = pa.schema([field for field in schema if not is_derived(field)])
    stored = manifest.schema
    present = pa.schema([stored.field(field.name) for field in own if field.name in stored.names])

    def rows() -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([own.field(name) for name in present.names])
        for batch in read_files(folder, manifest.files, present):
            converted = convert_batch(batch, wanted)
            arrays = [
                converted.column(field.name) if field.name in present.names else pa.nulls(batch.num_rows, field.type)
                for field in own
            ]
            yield add_partitions(pa.RecordBatch.from_arrays(arrays, schema=own), schema, target.endpoint_id)

    layout = target.layout or Layout()
    return write_all(folder, rows(), schema, partition_by, layout.cluster_by, layout.target_file_bytes)


def compacted_files(
    folder: TableFolder, manifest: Manifest, layout: Layout, least: int = 2
) -> tuple[list[DataFile], list[DataFile]] | None:
    """The files that are removed and those that have their rows instead; None where no partition has `least` small files."""
    small: dict[str, list[DataFile]] = defaultdict(list)
    for file in manifest.files:
        if file.bytes < layout.target_file_bytes // 2:
            small[file.path.rpartition("/")[0]].append(file)
    removed: list[DataFile] = []
    for found in sorted(small.values(), key=len, reverse=True):
        if len(found) >= least and sum(file.bytes for file in removed) < COMPACTED_BYTES:
            removed += found
    if not removed:
        return None
    schema = manifest.schema
    rows = read_files(folder, [file for file in removed if file.rows], schema)
    return removed, write_all(folder, rows, schema, manifest.partition_by, layout.cluster_by, layout.target_file_bytes)


def erased_files(
    folder: TableFolder, manifest: Manifest, keys: pa.Table, how: Literal["tombstone", "delete"], layout: Layout
) -> tuple[list[DataFile], int]:
    """The files of the table afterwards, and the number of rows that were marked or removed; files without them stay."""
    files: list[DataFile] = []
    erased = 0
    now = datetime.now(UTC)
    for file in manifest.files:
        schema = manifest.schema
        rows = pa.Table.from_batches(read_files(folder, [file], schema), schema)
        hit = _hits(rows, keys, manifest)
        if how == "tombstone":
            hit = pc.and_(hit, rows.column(DELETED_AT).is_null().combine_chunks()) if rows.num_rows else hit
        count = int(pc.sum(hit).as_py() or 0)
        if not count:
            files.append(file)
            continue
        erased += count
        changed = rows.filter(pc.invert(hit)) if how == "delete" else _marked(rows, hit, now)
        files += write_all(
            folder, changed.to_batches(), schema, manifest.partition_by, layout.cluster_by, layout.target_file_bytes
        )
    return files, erased


def _hits(rows: pa.Table, keys: pa.Table, manifest: Manifest) -> pa.Array:
    """For each row, whether its key is one of `keys`; NULLs in a key equal each other."""
    names = keys.column_names
    numbered = rows.select(names).rename_columns([f"k{n}" for n in range(len(names))])
    numbered = numbered.append_column("n", pa.array(range(rows.num_rows), pa.int64()))
    connection = open_scratch()
    try:
        connection.register("stored", numbered)
        connection.register("given", keys.rename_columns([f"k{n}" for n in range(len(names))]))
        same = " and ".join(f"g.k{n} is not distinct from s.k{n}" for n in range(len(names)))
        found: Any = connection.sql(f"select s.n from stored s semi join given g on {same}").to_arrow_table()
        positions = found.column(0).combine_chunks()
    finally:
        connection.close()
    return pc.is_in(pa.array(range(rows.num_rows), pa.int64()), value_set=positions)


def _marked(rows: pa.Table, hit: pa.Array, now: datetime) -> pa.Table:
    index = rows.schema.get_field_index(DELETED_AT)
    field = rows.schema.field(index)
    before = rows.column(index).combine_chunks()
    return rows.set_column(index, field, pc.if_else(hit, pa.scalar(now, field.type), before))
