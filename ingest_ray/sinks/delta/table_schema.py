"""The columns of a Delta table: created, evolved, and checked against what this sink remembers of them.

The columns that were written are remembered in the table property `ingest.columns`. A column that is remembered and
is not there, or has another type, was changed by hand: the next write would fill it with NULLs or fail half way.
"""

import json
from dataclasses import asdict

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.columns import must_widen, wanted_schema
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log import add_actions, load, marks, refuse_older
from ingest_ray.sinks.delta.types import DELTA
from ingest_ray.sinks.parquet import FileRoll
from ingest_ray.sinks.widening import is_wider

REMEMBERED = "ingest.columns"


def table_schema(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def file_schema(table: DeltaTable, target: Target, schema: pa.Schema) -> pa.Schema:
    """What a new file of the table must look like: the table's types where they are wider than the source's."""
    wanted = wanted_schema(schema, DELTA)
    if target.write is WriteMode.REPLACE:
        return wanted
    kept = table_schema(table)
    fields = []
    for field in wanted:
        if field.name not in kept.names:
            raise SinkRejected(f"column '{field.name}' is not in table '{table.table_uri}'")
        there = kept.field(field.name).type
        if not _is_same(there, field.type) and not is_wider(there, field.type):
            raise SinkRejected(f"column '{field.name}' is {there} in table '{table.table_uri}', and {field.type} now")
        fields.append(field if _is_same(there, field.type) else pa.field(field.name, there))
    return pa.schema(fields)


def create(files: TableFiles, target: Target, schema: pa.Schema, epoch: int) -> DeltaTable:
    wanted = wanted_schema(schema, DELTA)
    try:
        return DeltaTable.create(
            files.uri,
            Schema.from_arrow(wanted),
            storage_options=files.options or None,
            configuration={REMEMBERED: _remember(wanted)},
            raise_if_key_not_exists=False,
            commit_properties=marks(target, epoch),
        )
    except DeltaError:
        table = load(files)  # another process was faster
        if table is None:
            raise
        return table


def evolve(table: DeltaTable, files: TableFiles, target: Target, schema: pa.Schema, epoch: int) -> DeltaTable:
    """Adds columns and widens types; drops nothing. A full refresh changes the columns in its own commit."""
    if target.write is WriteMode.REPLACE:
        return table
    _refuse_changes_by_hand(table)
    wanted = wanted_schema(schema, DELTA)
    kept = table_schema(table)
    wider = {
        field.name: field.type
        for field in wanted
        if field.name in kept.names
        and not _is_same(kept.field(field.name).type, field.type)
        and must_widen(field.name, kept.field(field.name).type, field.type, table.table_uri)
    }
    if wider:
        table = _rewrite(table, files, target, epoch, wider)
    added = [field for field in wanted if field.name not in kept.names]
    if added:
        table.alter.add_columns(Schema.from_arrow(pa.schema(added)).fields, commit_properties=marks(target, epoch))
        table = _again(files, target, epoch)
    remembered = _remember(
        pa.schema([kept_field for kept_field in table_schema(table) if kept_field.name in wanted.names])
    )
    known = json.loads(table.metadata().configuration.get(REMEMBERED, "{}"))
    merged = json.dumps({**known, **json.loads(remembered)})
    if merged != json.dumps(known):
        table.alter.set_table_properties(
            {REMEMBERED: merged}, raise_if_not_exists=False, commit_properties=marks(target, epoch)
        )
        table = _again(files, target, epoch)
    return table


def replaced_schema(table: DeltaTable, schema: pa.Schema) -> pa.Schema:
    """After a full refresh: the source's columns, and those that only the table has, empty."""
    wanted = wanted_schema(schema, DELTA)
    extra = [field.with_nullable(True) for field in table_schema(table) if field.name not in wanted.names]
    return pa.schema([*wanted, *extra])


def _refuse_changes_by_hand(table: DeltaTable) -> None:
    remembered = json.loads(table.metadata().configuration.get(REMEMBERED, "{}"))
    found = json.loads(_remember(table_schema(table)))
    for name, kind in remembered.items():
        if found.get(name) != kind:
            state = "gone from" if name not in found else f"{found[name]} instead of {kind} in"
            raise SinkRejected(
                f"column '{name}' is {state} table '{table.table_uri}': it was changed by hand",
                hint="restore the column, or reset the unit and remove the table to load it again",
            )


def _rewrite(
    table: DeltaTable, files: TableFiles, target: Target, epoch: int, wider: dict[str, pa.DataType]
) -> DeltaTable:
    """Delta without the type widening feature wants files of the table's types: they are written again, in one commit."""
    fields = [pa.field(f.name, wider.get(f.name, f.type), f.nullable) for f in table_schema(table)]
    schema = pa.schema(fields)
    roll = FileRoll(schema, files.create)
    for batch in table.to_pyarrow_dataset().to_batches():
        roll.write(batch.cast(schema))
    written = roll.close()
    files.make_durable([file.name for file in written])
    actions = add_actions(asdict(file) for file in written)
    table.create_write_transaction(
        actions, "overwrite", Schema.from_arrow(schema), commit_properties=marks(target, epoch)
    )
    return _again(files, target, epoch)


def _again(files: TableFiles, target: Target, epoch: int) -> DeltaTable:
    table = load(files)
    if table is None:
        raise SinkRejected(f"table '{files.uri}' is gone")
    refuse_older(table, target, epoch)
    return table


def _is_same(there: pa.DataType, wanted: pa.DataType) -> bool:
    return _names(there) == _names(wanted)


def _names(kind: pa.DataType) -> str:
    return str(Schema.from_arrow(pa.schema([pa.field("x", kind)])).fields[0].type)


def _remember(schema: pa.Schema) -> str:
    return json.dumps({field.name: _names(field.type) for field in schema})
