"""The columns of a Delta table: created, evolved, and checked against those that this sink recorded.

The table property `ingest.columns` records the columns that were written. A recorded column that is missing or has another type was
changed by hand: the next write would fill it with NULLs or fail half way.
"""

import json
from dataclasses import asdict

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.columns import must_widen, sink_schema
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log import add_actions, commit_properties, load_table, refuse_older_epoch
from ingest_ray.sinks.delta.types import DELTA_TYPES
from ingest_ray.sinks.parquet import RollingParquetWriter
from ingest_ray.sinks.widening import is_wider

COLUMNS_PROPERTY = "ingest.columns"


def table_schema(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def file_schema(table: DeltaTable, target: Target, schema: pa.Schema) -> pa.Schema:
    """The schema of a new file of the table: the table's types where they are wider than the source's."""
    wanted = sink_schema(schema, DELTA_TYPES)
    if target.write is WriteMode.REPLACE:
        return wanted
    stored = table_schema(table)
    fields = []
    for field in wanted:
        if field.name not in stored.names:
            raise SinkRejected(f"column '{field.name}' is not in table '{table.table_uri}'")
        stored_type = stored.field(field.name).type
        if not _is_same(stored_type, field.type) and not is_wider(stored_type, field.type):
            raise SinkRejected(
                f"column '{field.name}' is {stored_type} in table '{table.table_uri}', and {field.type} now"
            )
        fields.append(field if _is_same(stored_type, field.type) else pa.field(field.name, stored_type))
    return pa.schema(fields)


def create_table(files: TableFiles, target: Target, schema: pa.Schema, epoch: int) -> DeltaTable:
    wanted = sink_schema(schema, DELTA_TYPES)
    try:
        return DeltaTable.create(
            files.uri,
            Schema.from_arrow(wanted),
            storage_options=files.options or None,
            configuration={COLUMNS_PROPERTY: _describe_columns(wanted)},
            raise_if_key_not_exists=False,
            commit_properties=commit_properties(target, epoch),
        )
    except DeltaError:
        table = load_table(files)  # another process created it first
        if table is None:
            raise
        return table


def evolve_table(table: DeltaTable, files: TableFiles, target: Target, schema: pa.Schema, epoch: int) -> DeltaTable:
    """Adds columns and widens types; drops nothing. A full refresh changes the columns in its own commit."""
    if target.write is WriteMode.REPLACE:
        return table
    _refuse_changes_by_hand(table)
    wanted = sink_schema(schema, DELTA_TYPES)
    stored = table_schema(table)
    wider = {
        field.name: field.type
        for field in wanted
        if field.name in stored.names
        and not _is_same(stored.field(field.name).type, field.type)
        and must_widen(field.name, stored.field(field.name).type, field.type, table.table_uri)
    }
    if wider:
        table = _rewrite(table, files, target, epoch, wider)
    added = [field for field in wanted if field.name not in stored.names]
    if added:
        table.alter.add_columns(
            Schema.from_arrow(pa.schema(added)).fields, commit_properties=commit_properties(target, epoch)
        )
        table = _reload(files, target, epoch)
    written = pa.schema([field for field in table_schema(table) if field.name in wanted.names])
    recorded = json.loads(table.metadata().configuration.get(COLUMNS_PROPERTY, "{}"))
    merged = json.dumps({**recorded, **json.loads(_describe_columns(written))})
    if merged != json.dumps(recorded):
        table.alter.set_table_properties(
            {COLUMNS_PROPERTY: merged}, raise_if_not_exists=False, commit_properties=commit_properties(target, epoch)
        )
        table = _reload(files, target, epoch)
    return table


def replaced_schema(table: DeltaTable, schema: pa.Schema) -> pa.Schema:
    """The columns after a full refresh: the source's, and those that only the table has, as NULLs."""
    wanted = sink_schema(schema, DELTA_TYPES)
    extra = [field.with_nullable(True) for field in table_schema(table) if field.name not in wanted.names]
    return pa.schema([*wanted, *extra])


def _refuse_changes_by_hand(table: DeltaTable) -> None:
    recorded = json.loads(table.metadata().configuration.get(COLUMNS_PROPERTY, "{}"))
    columns = json.loads(_describe_columns(table_schema(table)))
    for name, kind in recorded.items():
        if columns.get(name) != kind:
            state = "gone from" if name not in columns else f"{columns[name]} instead of {kind} in"
            raise SinkRejected(
                f"column '{name}' is {state} table '{table.table_uri}': it was changed by hand",
                hint="restore the column, or reset the unit and remove the table to load it again",
            )


def _rewrite(
    table: DeltaTable, files: TableFiles, target: Target, epoch: int, wider: dict[str, pa.DataType]
) -> DeltaTable:
    """Rewrites the files in one commit: without the type widening feature Delta requires files of the table's types."""
    fields = [pa.field(f.name, wider.get(f.name, f.type), f.nullable) for f in table_schema(table)]
    schema = pa.schema(fields)
    writer = RollingParquetWriter(schema, files.create)
    for batch in table.to_pyarrow_dataset().to_batches():
        writer.write(batch.cast(schema))
    written = writer.close()
    files.make_durable([file.name for file in written])
    actions = add_actions(asdict(file) for file in written)
    table.create_write_transaction(
        actions, "overwrite", Schema.from_arrow(schema), commit_properties=commit_properties(target, epoch)
    )
    return _reload(files, target, epoch)


def _reload(files: TableFiles, target: Target, epoch: int) -> DeltaTable:
    table = load_table(files)
    if table is None:
        raise SinkRejected(f"table '{files.uri}' is gone")
    refuse_older_epoch(table, target, epoch)
    return table


def _is_same(stored: pa.DataType, wanted: pa.DataType) -> bool:
    return _type_name(stored) == _type_name(wanted)


def _type_name(kind: pa.DataType) -> str:
    return str(Schema.from_arrow(pa.schema([pa.field("x", kind)])).fields[0].type)


def _describe_columns(schema: pa.Schema) -> str:
    return json.dumps({field.name: _type_name(field.type) for field in schema})
