"""A unit's table: made, grown, and compared with what the ledger remembers of it."""

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.columns import must_widen, wanted_schema
from ingest_ray.sinks.databases.commit_ledger import Shape
from ingest_ray.sinks.databases.database import Database, Session
from ingest_ray.sinks.type_mapping import fit_type
from ingest_ray.sinks.widening import is_wider


def make_or_grow(db: Database, session: Session, target: Target, table: str, schema: pa.Schema, known: Shape) -> Shape:
    """Returns the shape to remember. Adds columns and widens types; drops nothing."""
    wanted = wanted_schema(schema, db.rules)
    kinds = {
        name: db.column_type(wanted.field(name).type, sink_type_of(db, schema, name, wanted)) for name in wanted.names
    }
    found = db.columns(session, table)
    if not found:
        key = [db.quoted(name) for name in target.key] if target.write is WriteMode.UPSERT else []
        columns = {db.quoted(name): kind for name, kind in kinds.items()}
        db.create_table(session, table, columns, key)
        return Shape(wanted, db.columns(session, table))
    if not known.reported:
        raise SinkRejected(
            f"table '{db.location(table)}' is there already, and this sink did not make it",
            hint="remove or rename the table, or choose another schema",
        )
    refuse_changes_by_hand(db, table, known, found)
    return grow(db, session, table, wanted, kinds, known)


def staged_schema(db: Database, table: str, schema: pa.Schema, known: Shape) -> pa.Schema:
    """The columns of rows to be staged: of the table's types where they are wider than the source's."""
    wanted = wanted_schema(schema, db.rules)
    fields = []
    for field in wanted:
        if field.name not in known.schema.names:
            raise SinkRejected(f"column '{field.name}' is not in table '{db.location(table)}'")
        there = known.schema.field(field.name).type
        if there != field.type and not is_wider(there, field.type):
            raise SinkRejected(
                f"column '{field.name}' is {there} in table '{db.location(table)}', and {field.type} now"
            )
        fields.append(pa.field(field.name, there))
    return pa.schema(fields)


def grow(db: Database, session: Session, table: str, wanted: pa.Schema, kinds: dict[str, str], known: Shape) -> Shape:
    place, fields = db.location(table), {field.name: field for field in known.schema}
    for field in wanted:
        there = fields.get(field.name)
        if there is None:
            session.run(f"alter table {db.table(table)} add column {db.quoted(field.name)} {kinds[field.name]}")
        elif not must_widen(field.name, there.type, field.type, place):
            continue
        elif db.can_widen:
            db.widen(session, table, db.quoted(field.name), kinds[field.name])
        fields[field.name] = field
    grown = pa.schema(list(fields.values()))
    return known if grown == known.schema else Shape(grown, db.columns(session, table))


def refuse_changes_by_hand(db: Database, table: str, known: Shape, found: dict[str, str]) -> None:
    for name, kind in known.reported.items():
        if name in known.schema.names and found.get(name) != kind:
            state = "gone from" if name not in found else f"{found[name]} instead of {kind} in"
            raise SinkRejected(
                f"column '{name}' is {state} table '{db.location(table)}': it was changed by hand",
                hint="restore the column, or reset the unit and remove the table to load it again",
            )


def sink_type_of(db: Database, schema: pa.Schema, name: str, wanted: pa.Schema) -> str:
    kind = schema.field(name).type if name in schema.names else wanted.field(name).type
    return fit_type(kind, db.rules).sink_type
