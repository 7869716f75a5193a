"""The columns of a Delta table: created, evolved, and checked against those that this sink recorded.

The table property `ingest.columns`, or the metadata of that name of the column `_ingest_run_id`, records the columns that were written. A recorded column that is missing or has another type was
changed by hand: the next write would fill it with NULLs or fail half way.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import cast

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Schema, write_deltalake
from deltalake.exceptions import DeltaError

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Prepared, Target, WriteMode
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.columns import NEW_COLUMN, sink_schema, wider_type
from ingest_ray.sinks.delta.errors import translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.layout.table_partitions import table_partitions, wanted_partitions
from ingest_ray.sinks.delta.log.commits import add_actions, commit_properties, refuse_older_epoch
from ingest_ray.sinks.delta.log.snapshot import newest_table
from ingest_ray.sinks.delta.merge import quoted
from ingest_ray.sinks.delta.statistics import UNBOUNDED, recorded_unbounded, writer_properties
from ingest_ray.sinks.delta.table_features import has_demands, refuse_removal
from ingest_ray.sinks.delta.types import DELTA_TYPES
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived, with_partitions
from ingest_ray.sinks.parquet import FILE_BYTES, RollingParquetWriter
from ingest_ray.sinks.provenance import RUN_ID
from ingest_ray.sinks.read_ahead import ReadAhead
from ingest_ray.sinks.value_conversion import convert_batch
from ingest_ray.sinks.widening import is_wider

COLUMNS_PROPERTY = "ingest.columns"
OR = " or "  # between the two types of a column that is being widened


def table_schema(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def file_schema(table: DeltaTable, target: Target, schema: pa.Schema) -> pa.Schema:
    """The schema of a new file of the table: the table's types where they are wider than the source's; derived partitions, too."""
    wanted = sink_schema(schema, DELTA_TYPES)
    if target.write is WriteMode.REPLACE:
        return with_partitions(wanted, wanted_partitions(table, target))
    stored = table_schema(table)
    columns = with_partitions(_widened(wanted, stored, table), table_partitions(table))
    for field in filter(is_derived, columns):
        if field.name not in stored.names or not _is_same(stored.field(field.name).type, field.type):
            raise SinkRejected(
                f"partition '{field.name}' of table '{table.table_uri}' was changed by hand",
                hint="load the unit into a table of its own, or restore it",
            )
    return columns


def _widened(wanted: pa.Schema, stored: pa.Schema, table: DeltaTable) -> pa.Schema:
    fields = []
    for field in wanted:
        if field.name not in stored.names:
            raise SinkRejected(f"column '{field.name}' is not in table '{table.table_uri}'", hint=NEW_COLUMN)
        stored_type = stored.field(field.name).type
        if not _is_same(stored_type, field.type) and not is_wider(stored_type, field.type):
            raise SinkRejected(
                f"column '{field.name}' is {stored_type} in table '{table.table_uri}', and {field.type} now"
            )
        fields.append(field if _is_same(stored_type, field.type) else pa.field(field.name, stored_type))
    return pa.schema(fields)


def create_table(files: TableFiles, target: Target, schema: pa.Schema, epoch: int) -> DeltaTable:
    wanted = sink_schema(schema, DELTA_TYPES)
    partitions = wanted_partitions(None, target)
    try:
        return DeltaTable.create(
            files.uri,
            Schema.from_arrow(with_partitions(wanted, partitions)),
            partition_by=[one.name for one in partitions] or None,
            storage_options=files.options or None,
            configuration={COLUMNS_PROPERTY: _describe_columns(wanted)},
            raise_if_key_not_exists=False,
            commit_properties=commit_properties(target, epoch),
        )
    except DeltaError:
        table = newest_table(files)  # another process created it first
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
    wider: dict[str, pa.DataType] = {}
    for field in wanted:
        kind = stored.field(field.name).type if field.name in stored.names else field.type
        if _is_same(kind, field.type):
            continue
        needed = wider_type(field, kind, schema, DELTA_TYPES, table.table_uri, target.key)
        wider |= {field.name: needed} if needed is not None else {}
    if wider:
        table = _announce(table, files, target, epoch, wider)
        table = _rewrite(table, files, target, epoch, wider)
    added = [field for field in wanted if field.name not in stored.names]
    if added:
        table.alter.add_columns(
            Schema.from_arrow(pa.schema(added)).fields, commit_properties=commit_properties(target, epoch)
        )
        table = _reload(files, target, epoch)
    written = pa.schema([field for field in table_schema(table) if field.name in wanted.names])
    recorded = _recorded_columns(table)
    merged = {**recorded, **json.loads(_describe_columns(written))}
    if merged != recorded:
        _record_columns(table, merged, commit_properties(target, epoch))
        table = _reload(files, target, epoch)
    return table


def _announce(
    table: DeltaTable, files: TableFiles, target: Target, epoch: int, wider: dict[str, pa.DataType]
) -> DeltaTable:
    """Records both types of the columns that are about to be widened: a process may die between that commit and the record of it."""
    recorded = _recorded_columns(table)
    future = json.loads(_describe_columns(pa.schema(list(wider.items()))))
    both = {name: f"{recorded[name]}{OR}{kind}" for name, kind in future.items() if name in recorded}
    if not both:
        return table
    _record_columns(table, {**recorded, **both}, commit_properties(target, epoch))
    return _reload(files, target, epoch)


def _recorded_columns(table: DeltaTable) -> dict[str, str]:
    recorded: dict[str, str] = json.loads(table.metadata().configuration.get(COLUMNS_PROPERTY, "{}"))
    for field in table.schema().fields:
        if field.name == RUN_ID:
            recorded.update(json.loads(str(field.metadata.get(COLUMNS_PROPERTY, "{}"))))
    return recorded


def _record_columns(table: DeltaTable, recorded: dict[str, str], properties: CommitProperties) -> None:
    """In the metadata of a column where the table has features: the library adds features of its own, such as `variantType`, to such
    a table with every change of its properties, and readers without them could not read it any more."""
    text = json.dumps(recorded)
    if table.protocol().writer_features is None:
        table.alter.set_table_properties(
            {COLUMNS_PROPERTY: text}, raise_if_not_exists=False, commit_properties=properties
        )
    else:
        table.alter.set_column_metadata(RUN_ID, {COLUMNS_PROPERTY: text}, commit_properties=properties)


def replaced_schema(table: DeltaTable, target: Target, schema: pa.Schema) -> pa.Schema:
    """The columns after a full refresh: the source's, those of its layout, and those that only the table has, as NULLs."""
    stored = table_schema(table)
    wanted = [
        # with the table's NOT NULL, comment and invariants
        stored.field(field.name).with_type(field.type)
        if field.name in stored.names and not is_derived(field)
        else field
        for field in with_partitions(sink_schema(schema, DELTA_TYPES), wanted_partitions(table, target))
    ]
    names = {field.name for field in wanted}
    extra = [field.with_nullable(True) for field in stored if field.name not in names and not is_derived(field)]
    return pa.schema([*wanted, *extra])


def record_unbounded(files: TableFiles, target: Target, epoch: int, group: Sequence[Prepared]) -> None:
    """Records the columns whose bounds statistics cannot state, before the rows come: later rewrites of the files leave them out.

    A commit of its own, which changes no row; a repeated one records nothing.
    """
    unbounded = {str(name) for prepared in group for name in cast("list[str]", prepared.payload.get("unbounded") or [])}
    if not unbounded:
        return
    with files.lock, translate_errors(files.uri):
        table = _reload(files, target, epoch)
        for name in sorted(unbounded - recorded_unbounded(table)):
            properties = commit_properties(target, epoch)
            table.alter.set_column_metadata(name, {UNBOUNDED: "true"}, commit_properties=properties)
            table = _reload(files, target, epoch)


def _refuse_changes_by_hand(table: DeltaTable) -> None:
    recorded = _recorded_columns(table)
    columns = json.loads(_describe_columns(table_schema(table)))
    for name, kind in recorded.items():
        if columns.get(name) not in kind.split(OR):
            state = "gone from" if name not in columns else f"{columns[name]} instead of {kind} in"
            raise SinkRejected(
                f"column '{name}' is {state} table '{table.table_uri}': it was changed by hand",
                hint="restore the column, or reset the unit and remove the table to load it again",
            )


def _rewrite(
    table: DeltaTable, files: TableFiles, target: Target, epoch: int, wider: dict[str, pa.DataType]
) -> DeltaTable:
    """Rewrites the files in one commit: without the type widening feature Delta requires files of the table's types."""
    refuse_removal(table, f"columns {', '.join(sorted(wider))} must be widened, which replaces its files")
    stored = table_schema(table)
    own = pa.schema([field.with_type(wider.get(field.name, field.type)) for field in stored if not is_derived(field)])
    laid_out = with_partitions(own, table_partitions(table))
    schema = pa.schema([laid_out.field(name) for name in stored.names])  # columns keep their places
    properties = commit_properties(target, epoch)
    stored_rows = (
        add_partitions(convert_batch(pa.record_batch(batch), own), schema, target.endpoint_id)
        for batch in read_columns(table, own.names)
    )
    if has_demands(table):
        with ReadAhead(stored_rows) as batches:
            write_deltalake(
                table,
                read_batches_as(schema, batches),
                mode="overwrite",
                schema_mode="overwrite",
                target_file_size=FILE_BYTES,
                writer_properties=writer_properties(table, schema),
                commit_properties=properties,
            )
        return _reload(files, target, epoch)
    writer = RollingParquetWriter(schema, files.create)
    for batch in stored_rows:
        writer.write(batch)
    written = writer.close()
    files.make_durable([file.name for file in written])
    actions = add_actions(asdict(file) for file in written)
    table.create_write_transaction(actions, "overwrite", Schema.from_arrow(schema), commit_properties=properties)
    return _reload(files, target, epoch)


def read_columns(table: DeltaTable, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """All rows of the table."""
    columns = ", ".join(f"t.{quoted(name)}" for name in names)
    for batch in QueryBuilder().register("t", table).execute(f"SELECT {columns} FROM t"):
        yield pa.record_batch(batch)


def _reload(files: TableFiles, target: Target, epoch: int) -> DeltaTable:
    table = newest_table(files)
    if table is None:
        raise SinkRejected(f"table '{files.uri}' is gone")
    refuse_older_epoch(table, files, target, epoch)
    return table


def _is_same(stored: pa.DataType, wanted: pa.DataType) -> bool:
    return _type_name(stored) == _type_name(wanted)


def _type_name(kind: pa.DataType) -> str:
    return str(Schema.from_arrow(pa.schema([pa.field("x", kind)])).fields[0].type)


def _describe_columns(schema: pa.Schema) -> str:
    return json.dumps({field.name: _type_name(field.type) for field in schema})
