"""Writes a Delta table again in another layout: all rows, in one commit.

Readers have the old files until the commit, and the new ones after it. A process that dies before leaves files that no commit names,
which `vacuum` removes; the next attempt begins anew.
"""

from collections.abc import Iterator

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import LedgerMismatch, SinkRejected
from ingest_ray.sdk.types import Layout, Target
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.layout.table_partitions import is_laid_out_otherwise, wanted_partitions
from ingest_ray.sinks.delta.log.commits import commit_properties, take_over
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.log.snapshot import newest_table
from ingest_ray.sinks.delta.row_writer import refuse_unfit_values
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.delta.table_features import refuse_partitions, refuse_removal, refuse_unsupported_features
from ingest_ray.sinks.delta.table_schema import read_columns, table_schema
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived, with_partitions
from ingest_ray.sinks.maintenance import MaintenanceReport
from ingest_ray.sinks.read_ahead import ReadAhead


def relayout(files: TableFiles, target: Target, epoch: int) -> MaintenanceReport:
    """The caller holds `files.lock`."""
    table = newest_table(files)
    if table is None:
        raise SinkRejected(f"there is no table at '{files.uri}'", hint="the first run makes it in its layout")
    refuse_unsupported_features(table)
    if not is_laid_out_otherwise(table, target):
        return MaintenanceReport(location=files.uri)
    refuse_removal(table, f"unit '{target.unit_id}' is to be laid out otherwise, which replaces its files")
    table = take_over(table, files, target, epoch)
    before = pa.table(table.get_add_actions(flatten=True))
    _write_again(table, target, epoch)
    after = newest_table(files)
    added = pa.table(after.get_add_actions(flatten=True)) if after is not None else before.slice(0, 0)
    return MaintenanceReport(
        location=files.uri,
        files_added=added.num_rows,
        files_removed=before.num_rows,
        bytes_added=sum(added.column("size_bytes").to_pylist()),
        bytes_removed=sum(before.column("size_bytes").to_pylist()),
    )


def _write_again(table: DeltaTable, target: Target, epoch: int) -> None:
    partitions = wanted_partitions(table, target)
    own = pa.schema([field for field in table_schema(table) if not is_derived(field)])
    schema = with_partitions(own, partitions)
    refuse_partitions(table.table_uri, schema, [one.name for one in partitions])
    layout = target.layout or Layout()
    rows = sorted_rows(_rows(table, own, schema, target), schema, layout.cluster_by)
    with ReadAhead(rows) as batches:
        write_deltalake(
            table,
            read_batches_as(schema, batches),
            mode="overwrite",
            schema_mode="overwrite",
            partition_by=[one.name for one in partitions],
            target_file_size=layout.target_file_bytes,
            writer_properties=writer_properties(table, schema),
            commit_properties=commit_properties(target, epoch),
            post_commithook_properties=AFTER_COMMIT,
        )


def _rows(table: DeltaTable, own: pa.Schema, schema: pa.Schema, target: Target) -> Iterator[pa.RecordBatch]:
    """Raises `LedgerMismatch` instead of its end where these are not all rows of the table: then nothing is committed."""
    expected, found = int(table.count()), 0
    identities = [one.name for one in wanted_partitions(table, target) if not one.is_derived]
    for batch in read_columns(table, own.names):
        rows = batch.cast(own)
        refuse_unfit_values(table.table_uri, rows, identities)
        found += rows.num_rows
        yield add_partitions(rows, schema, target.endpoint_id)
    if found != expected:
        raise LedgerMismatch(f"table '{table.table_uri}' has {expected} rows, and {found} were read")
    reached("relayout:before-commit")
