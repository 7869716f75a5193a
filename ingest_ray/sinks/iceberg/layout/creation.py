"""Creates an Iceberg table in its unit's layout; the order of rows that its metadata states."""

import itertools
import json
from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import NestedField, StringType

from ingest_ray.sdk.types import Target
from ingest_ray.sdk.types.layout import ENDPOINT_COLUMN
from ingest_ray.sinks.columns import sink_schema
from ingest_ray.sinks.iceberg.catalog import Identifier, TableCatalog
from ingest_ray.sinks.iceberg.commits import LEDGER
from ingest_ray.sinks.iceberg.field_ids import iceberg_type
from ingest_ray.sinks.iceberg.layout.partition_spec import (
    needs_endpoint_column,
    new_spec,
    refuse_unfit_layout,
    wanted_partitions,
)
from ingest_ray.sinks.iceberg.table_schema import COLUMNS, described
from ingest_ray.sinks.iceberg.types import ICEBERG_TYPES


def create_table(catalog: TableCatalog, name: Identifier, target: Target, schema: pa.Schema, epoch: int) -> Table:
    wanted = sink_schema(schema, ICEBERG_TYPES)
    partitions = wanted_partitions(None, target)
    clustered = target.layout.cluster_by if target.layout is not None else ()
    refuse_unfit_layout(wanted, partitions, clustered)
    numbers = itertools.count(1)
    ids = [next(numbers) for _ in wanted]
    fields = [
        NestedField(number, field.name, iceberg_type(field.type, lambda: next(numbers)), required=False)
        for number, field in zip(ids, wanted, strict=True)
    ]
    if needs_endpoint_column(partitions):
        fields.append(NestedField(next(numbers), ENDPOINT_COLUMN, StringType(), required=False))
    entry = json.dumps({"epoch": epoch, "sequence": 0, "committed": 0, "deduplicated": 0})
    properties = {COLUMNS: described(wanted), LEDGER + target.app_id: entry}
    columns = Schema(*fields)
    order = SortOrder(*_sort_fields(columns, clustered)) if clustered else SortOrder(order_id=0)
    return catalog.create(name, columns, properties, new_spec(columns, partitions), order)


def changed_order(table: Table, target: Target, schema: Schema) -> SortOrder | None:
    """The order that the table's metadata states from now on; None where it stays. `schema`: the columns after the commit.

    Without a layout the order stays, under the ids that its columns have now.
    """
    current = table.sort_order()
    if target.layout is not None:
        fields = _sort_fields(schema, target.layout.cluster_by)
    else:
        fields = _same_columns(table, current, schema)
    if fields == list(current.fields):
        return None
    orders = table.metadata.sort_orders
    if not fields:
        return next((one for one in orders if not one.fields), SortOrder(order_id=0))
    known = next((one for one in orders if list(one.fields) == fields), None)
    return known or SortOrder(*fields, order_id=max(0, *(one.order_id for one in orders)) + 1)


def _sort_fields(schema: Schema, names: Sequence[str]) -> list[SortField]:
    known = {field.name: field.field_id for field in schema.fields}
    return [
        SortField(known[name], IdentityTransform(), SortDirection.ASC, NullOrder.NULLS_LAST)
        for name in names
        if name in known
    ]


def _same_columns(table: Table, order: SortOrder, schema: Schema) -> list[SortField]:
    """Those up to the first one whose column is gone: rows are not in the order of the rest without it."""
    old = {field.field_id: field.name for field in table.schema().fields}
    ids = {field.name: field.field_id for field in schema.fields}
    whole = {field.field_id for field in table.schema().fields} & {field.field_id for field in schema.fields}
    found: list[SortField] = []
    for field in order.fields:
        number = field.source_id if field.source_id in whole else ids.get(old.get(field.source_id, ""))
        if number is None:
            return list(order.fields) if field.source_id not in old else found
        found.append(SortField(number, field.transform, field.direction, field.null_order))
    return found
