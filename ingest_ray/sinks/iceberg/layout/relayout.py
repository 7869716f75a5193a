"""Writes an Iceberg table again in another layout: partition spec, sort order and all rows, in one commit.

The format would let files of the old spec stay beside new ones, but then a filter by the new partitions leaves none of the old files
out. Readers have the old files until the commit, and the new ones after it. A process that dies before leaves files that no snapshot
names, which `vacuum` removes.
"""

import itertools
from dataclasses import replace

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField, StringType

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sdk.types.layout import ENDPOINT_COLUMN
from ingest_ray.sinks.iceberg.catalog import Identifier, TableCatalog
from ingest_ray.sinks.iceberg.commits import (
    TableChange,
    apply_change,
    ledger_entry,
    refuse_older_epoch,
    refuse_other_owner,
    take_over,
)
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.errors import translate_errors
from ingest_ray.sinks.iceberg.layout.creation import changed_order
from ingest_ray.sinks.iceberg.layout.divided_files import RowLayout, new_layout, table_layout
from ingest_ray.sinks.iceberg.layout.partition_spec import (
    has_endpoint_column,
    is_laid_out_otherwise,
    needs_endpoint_column,
    refuse_other_ids,
    refuse_unfit_layout,
    wanted_partitions,
)
from ingest_ray.sinks.iceberg.rewrites import rewrite_as
from ingest_ray.sinks.iceberg.table_schema import refuse_unsupported_table, replaced_schema, table_columns
from ingest_ray.sinks.maintenance import MaintenanceReport


def relayout(
    catalog: TableCatalog,
    name: Identifier,
    target: Target,
    columns: pa.Schema,
    epoch: int,
    location: str,
    *,
    is_shared: bool = False,
) -> MaintenanceReport:
    """`columns`: the unit's, with those of a history. `is_shared`: the table has rows of several units."""
    with translate_errors(".".join(name)):
        table = catalog.load(name)
        if table is None:
            raise SinkRejected(f"there is no table '{'.'.join(name)}'", hint="the first run makes it in its layout")
        if not is_shared:
            refuse_other_owner(table, target)
        refuse_unsupported_table(table, columns)
        refuse_older_epoch(table, target, epoch)
        if not is_laid_out_otherwise(table, target):
            return MaintenanceReport(location=location)
        partitions = wanted_partitions(table, target)
        own = [
            field for field in table_columns(table) if field.name != ENDPOINT_COLUMN or not has_endpoint_column(table)
        ]
        refuse_unfit_layout(pa.schema(own), partitions)
        table = take_over(catalog, table, target, epoch)
        return _write_again(table, target, epoch, location)


def schema_with_endpoint(table: Table, schema: Schema) -> Schema:
    """`schema` with the constant column, under a new id."""
    if ENDPOINT_COLUMN in schema.column_names:
        return schema
    used = itertools.chain([table.metadata.last_column_id], schema._lazy_id_to_field)
    number = max(used) + 1
    version = max(one.schema_id for one in table.metadata.schemas) + 1
    return Schema(*schema.fields, NestedField(number, ENDPOINT_COLUMN, StringType(), required=False), schema_id=version)


def written_layout(table: Table, target: Target, schema: pa.Schema) -> RowLayout:
    """Of rows that are prepared now: a replacement brings its layout with it; other rows go where the table's are."""
    if target.write is not WriteMode.REPLACE:
        return table_layout(table, target)
    partitions = wanted_partitions(table, target)
    columns = replaced_schema(table, schema) or table.schema()
    if needs_endpoint_column(partitions):
        columns = schema_with_endpoint(table, columns)
    refuse_other_ids(table, columns)
    return new_layout(table, target, columns, partitions)


def _write_again(table: Table, target: Target, epoch: int, location: str) -> MaintenanceReport:
    partitions = wanted_partitions(table, target)
    schema = table.schema()
    if needs_endpoint_column(partitions):
        schema = schema_with_endpoint(table, schema)
    layout = new_layout(table, target, schema, partitions)
    added, removed = rewrite_as(table, TableFiles.of(table), schema, layout)
    entry = ledger_entry(table, target)
    change = TableChange(
        added,
        removed,
        schema if schema.schema_id != table.metadata.current_schema_id else None,
        spec=layout.spec,
        order=changed_order(table, target, schema),
    )
    reached("relayout:before-commit")
    apply_change(table, target, replace(entry, epoch=epoch), change)
    return MaintenanceReport(
        location=location,
        files_added=len(added),
        files_removed=len(removed),
        bytes_added=sum(file.file_size_in_bytes for file in added),
        bytes_removed=sum(file.file_size_in_bytes for file in removed),
    )
