"""Evolves the columns of an Iceberg table before a run writes to it."""

import json
from dataclasses import replace

import pyarrow as pa
from pyiceberg.table import Table

from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.columns import sink_schema, wider_type
from ingest_ray.sinks.iceberg.catalog import TableCatalog
from ingest_ray.sinks.iceberg.commits import TableChange, apply_change, ledger_entry, reload
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.layout.creation import changed_order
from ingest_ray.sinks.iceberg.layout.divided_files import table_layout
from ingest_ray.sinks.iceberg.layout.partition_spec import refuse_other_ids
from ingest_ray.sinks.iceberg.rewrites import rewrite_as
from ingest_ray.sinks.iceberg.table_schema import (
    COLUMNS,
    changed_schema,
    described,
    needs_rewrite,
    recorded,
    refuse_changes_by_hand,
    table_columns,
)
from ingest_ray.sinks.iceberg.types import ICEBERG_TYPES


def evolve_table(catalog: TableCatalog, table: Table, target: Target, schema: pa.Schema, epoch: int) -> Table:
    """Adds columns and widens types; drops nothing. A full refresh changes the columns in its own commit."""
    if target.write is WriteMode.REPLACE:
        return table
    refuse_changes_by_hand(table)
    wanted, stored = sink_schema(schema, ICEBERG_TYPES), table_columns(table)
    kinds = {field.name: field.type for field in stored}
    for field in wanted:
        known = kinds.setdefault(field.name, field.type)
        needed = wider_type(field, known, schema, ICEBERG_TYPES, ".".join(table.name()), target.key)
        kinds[field.name] = needed if needed is not None else known
    written = described(pa.schema([(name, kinds[name]) for name in wanted.names]))
    columns, changed = recorded(table) | json.loads(written), changed_schema(table, kinds)
    order = changed_order(table, target, changed or table.schema())
    if changed is None and columns == recorded(table) and order is None:
        return table
    entry = ledger_entry(table, target)
    properties = {COLUMNS: json.dumps(columns)}
    change = TableChange(schema=changed, order=order, properties=properties, has_snapshot=False)
    if changed is not None:
        refuse_other_ids(table, changed)
    if changed is not None and needs_rewrite(stored, kinds):
        added, removed = rewrite_as(table, TableFiles.of(table), changed, table_layout(table, target, changed))
        change = TableChange(added, removed, changed, order=order, properties=properties)
    apply_change(table, target, replace(entry, epoch=epoch), change)
    return reload(catalog, table, target, epoch)
