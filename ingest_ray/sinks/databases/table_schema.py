"""The columns of a table: created, evolved, and compared with those that the ledger records."""

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.columns import must_widen, sink_schema
from ingest_ray.sinks.databases.commit_ledger import RecordedColumns
from ingest_ray.sinks.databases.database import Database, Session
from ingest_ray.sinks.type_mapping import map_type
from ingest_ray.sinks.widening import is_wider


def create_or_evolve(
    db: Database, session: Session, target: Target, table: str, schema: pa.Schema, recorded: RecordedColumns
) -> RecordedColumns:
    """Returns the columns to record. Adds columns and widens types; drops nothing."""
    wanted = sink_schema(schema, db.rules)
    kinds = column_types(db, schema, wanted)
    reported = db.read_columns(session, table)
    if not reported:
        key = [db.quoted(name) for name in target.key] if target.write is WriteMode.UPSERT else []
        db.create_table(session, table, {db.quoted(name): kind for name, kind in kinds.items()}, key)
        return RecordedColumns(wanted, db.read_columns(session, table))
    refuse_foreign_table(db, table, recorded, hint="remove or rename the table, or choose another schema")
    refuse_changes_by_hand(db, table, recorded, reported)
    return evolve_columns(db, session, table, wanted, kinds, recorded)


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
            raise SinkRejected(f"column '{field.name}' is not in table '{db.location(table)}'")
        stored = recorded.schema.field(field.name).type
        if stored != field.type and not is_wider(stored, field.type):
            raise SinkRejected(
                f"column '{field.name}' is {stored} in table '{db.location(table)}', and {field.type} now"
            )
        fields.append(pa.field(field.name, stored))
    return pa.schema(fields)


def evolve_columns(
    db: Database,
    session: Session,
    table: str,
    wanted: pa.Schema,
    kinds: dict[str, str],
    recorded: RecordedColumns,
) -> RecordedColumns:
    fields = {field.name: field for field in recorded.schema}
    for field in wanted:
        stored = fields.get(field.name)
        if stored is None:
            session.execute(
                f"alter table {db.quoted_table(table)} add column {db.quoted(field.name)} {kinds[field.name]}"
            )
        elif not must_widen(field.name, stored.type, field.type, db.location(table)):
            continue
        elif db.can_widen:
            db.widen_column(session, table, db.quoted(field.name), kinds[field.name])
        fields[field.name] = field
    evolved = pa.schema(list(fields.values()))
    return recorded if evolved == recorded.schema else RecordedColumns(evolved, db.read_columns(session, table))


def refuse_foreign_table(db: Database, table: str, recorded: RecordedColumns, *, hint: str) -> None:
    """A table that exists and whose columns the ledger does not record belongs to another program."""
    if not recorded.reported:
        raise SinkRejected(f"table '{db.location(table)}' is there already, and this sink did not make it", hint=hint)


def refuse_changes_by_hand(db: Database, table: str, recorded: RecordedColumns, reported: dict[str, str]) -> None:
    for name, kind in recorded.reported.items():
        if name in recorded.schema.names and reported.get(name) != kind:
            state = "gone from" if name not in reported else f"{reported[name]} instead of {kind} in"
            raise SinkRejected(
                f"column '{name}' is {state} table '{db.location(table)}': it was changed by hand",
                hint="restore the column, or reset the unit and remove the table to load it again",
            )
