"""The columns of a table: created, evolved, and compared with those that the ledger records."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected, SinkUnavailable
from ingest_ray.sinks.columns import NEW_COLUMN, sink_schema, wider_type
from ingest_ray.sinks.databases.commit_ledger import ColumnRecord, RecordedColumns
from ingest_ray.sinks.databases.database import Database, Session
from ingest_ray.sinks.type_mapping import map_type
from ingest_ray.sinks.widening import is_wider

DDL_ROUNDS = 10  # each round after the second one means that another unit changed the same table meanwhile


@dataclass(frozen=True)
class TableDefinition:
    """A table as its source wants it: the source's columns, those in the sink, and the database's types of them. `create` executes the
    `CREATE TABLE`.
    """

    table: str
    source: pa.Schema
    wanted: pa.Schema
    kinds: dict[str, str]
    create: Callable[[], None]
    foreign_hint: str
    keys: tuple[str, ...] = ()


def create_or_evolve(db: Database, session: Session, definition: TableDefinition, record: ColumnRecord) -> None:
    """Creates the table, or adds columns and widens types; drops nothing.

    DDL is announced in the ledger first. After it, everything is read again: where DDL commits by itself it has released the
    ledger's lock, and another unit may have changed a shared table.
    """
    table = definition.table
    announced: RecordedColumns | None = None
    db.refuse_unsafe_tables(session, [table])
    for _ in range(DDL_ROUNDS):
        recorded = record.lock()
        reported = db.read_columns(session, table)
        current = RecordedColumns()
        if reported:
            is_executed = recorded == announced
            if not recorded.reported and not is_executed:
                _refuse_foreign_table(db, session, definition, recorded, reported)
            current = _without_intent(recorded, reported, is_executed=is_executed)
            refuse_changes_by_hand(db, table, current, reported)
        evolved = _evolved_schema(db, definition, current, reported)
        if reported and evolved == current.schema:
            if current != recorded:
                record.write(current)
            return
        announced = RecordedColumns(current.schema, current.reported, evolved)
        record.write(announced)
        if reported:
            _alter_columns(db, session, definition, current, reported)
        else:
            definition.create()
    raise SinkUnavailable(f"table '{db.location(table)}' is changed by other units at the same time")


def _without_intent(recorded: RecordedColumns, reported: dict[str, str], *, is_executed: bool) -> RecordedColumns:
    """The columns that the table has now: announced DDL may have been executed in part.

    `is_executed`: all of it was. Else a column was added where the table has it, and widened where its type is another one.
    """
    if recorded.intended is None:
        return recorded
    fields, kinds = {field.name: field for field in recorded.schema}, dict(recorded.reported)
    for field in recorded.intended:
        stored, kind = fields.get(field.name), reported.get(field.name)
        if kind is None and not is_executed:
            continue
        if stored is None or (stored != field and (is_executed or kind != recorded.reported.get(field.name))):
            fields[field.name] = field
            kinds |= {field.name: kind} if kind is not None else {}
    return RecordedColumns(pa.schema(list(fields.values())), kinds)


def column_types(db: Database, schema: pa.Schema, wanted: pa.Schema) -> dict[str, str]:
    """The database's types of the columns `wanted`, which the source's `schema` became in the sink."""
    kinds = {}
    for field in wanted:
        source_type = schema.field(field.name).type if field.name in schema.names else field.type
        kinds[field.name] = db.column_type(field.type, map_type(source_type, db.rules).sink_type)
    return kinds


def stage_schema(db: Database, table: str, schema: pa.Schema, recorded: RecordedColumns) -> pa.Schema:
    """The columns of rows to be staged: in the table's types where they are wider than the source's."""
    fields = []
    for field in sink_schema(schema, db.rules):
        if field.name not in recorded.schema.names:
            raise SinkRejected(f"column '{field.name}' is not in table '{db.location(table)}'", hint=NEW_COLUMN)
        stored = recorded.schema.field(field.name).type
        if stored != field.type and not is_wider(stored, field.type):
            raise SinkRejected(
                f"column '{field.name}' is {stored} in table '{db.location(table)}', and {field.type} now"
            )
        fields.append(pa.field(field.name, stored))
    return pa.schema(fields)


def _evolved_schema(
    db: Database, definition: TableDefinition, current: RecordedColumns, reported: dict[str, str]
) -> pa.Schema:
    location = db.location(definition.table)
    fields = {field.name: field for field in current.schema}
    for field in definition.wanted:
        stored = fields.get(field.name)
        if stored is None and field.name in reported:
            raise SinkRejected(
                f"column '{field.name}' is in table '{location}' already, and this sink did not make it",
                hint="rename or drop that column, or leave the source's out: policy.columns",
            )
        wider = stored and wider_type(field, stored.type, definition.source, db.rules, location, definition.keys)
        if stored is None or wider is not None:
            fields[field.name] = pa.field(field.name, wider or field.type)
    return pa.schema(list(fields.values()))


def _alter_columns(
    db: Database, session: Session, definition: TableDefinition, current: RecordedColumns, reported: dict[str, str]
) -> None:
    table, kinds = definition.table, definition.kinds
    for field in definition.wanted:
        if field.name not in current.schema.names:
            db.add_column(session, table, db.quoted(field.name), kinds[field.name])
            continue
        stored = current.schema.field(field.name).type
        wider = wider_type(field, stored, definition.source, db.rules, db.location(table), definition.keys)
        if wider is not None:
            own_kind = db.column_type(wider, map_type(wider, db.rules).sink_type)
            kind = kinds[field.name] if wider == field.type else own_kind
            db.widen_column(session, table, db.quoted(field.name), kind)


def _refuse_foreign_table(
    db: Database, session: Session, definition: TableDefinition, recorded: RecordedColumns, reported: dict[str, str]
) -> None:
    """A table whose columns the ledger does not record belongs to another program.

    It is this sink's where its creation was announced, and it has those columns and no row: no row is written before the
    columns are recorded.
    """
    intended = recorded.intended
    is_announced = intended is not None and set(reported) == set(intended.names)
    if is_announced and not session.execute(f"select 1 from {db.quoted_table(definition.table)} limit 1"):
        return
    raise SinkRejected(
        f"table '{db.location(definition.table)}' is there already, and this sink did not make it",
        hint=definition.foreign_hint,
    )


def refuse_changes_by_hand(db: Database, table: str, recorded: RecordedColumns, reported: dict[str, str]) -> None:
    for name, kind in recorded.reported.items():
        if name in recorded.schema.names and reported.get(name) != kind:
            state = "gone from" if name not in reported else f"{reported[name]} instead of {kind} in"
            raise SinkRejected(
                f"column '{name}' is {state} table '{db.location(table)}': it was changed by hand",
                hint="restore the column, or reset the unit and remove the table to load it again",
            )
