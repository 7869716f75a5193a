"""The columns of a history besides those of its rows. In `prepare` every row gets them as if no other row of its key existed."""

from collections.abc import Collection
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.changes import COMMITTED_AT, has_changes
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.provenance import INGESTED_AT

VALID_FROM = "_valid_from"
VALID_TO = "_valid_to"
IS_CURRENT = "_is_current"
INSTANT = pa.timestamp("us", "UTC")
FIRST_INSTANT = pa.scalar(datetime(1, 1, 1, tzinfo=UTC), INSTANT)
LAST_INSTANT = pa.scalar(datetime(9999, 12, 31, tzinfo=UTC), INSTANT)
_MARK = {b"ingest:history": b"1"}  # a source may have a column of the same name
HISTORY_FIELDS = (
    pa.field(VALID_FROM, INSTANT, metadata=_MARK),
    pa.field(VALID_TO, INSTANT, metadata=_MARK),
    pa.field(IS_CURRENT, pa.bool_(), metadata=_MARK),
)
HISTORY_COLUMNS = tuple(field.name for field in HISTORY_FIELDS)


def is_of_history(field: pa.Field) -> bool:
    """True for a column that a history has itself: its type is the same in every sink, like those of provenance."""
    return (field.metadata or {}).get(b"ingest:history") == b"1"


def keeps_history(target: Target) -> bool:
    return target.write is WriteMode.HISTORY


def table_columns_of(target: Target, schema: pa.Schema) -> pa.Schema:
    """The columns of the unit's table, without provenance: those of `schema`, and of a history its own."""
    if not keeps_history(target):
        return schema
    taken = sorted({name for name in schema.names if name.lower() in HISTORY_COLUMNS})
    if taken:
        raise SinkRejected(
            f"column '{taken[0]}' has a name that histories use themselves", hint="leave it out: policy.columns"
        )
    return pa.schema([*schema, *HISTORY_FIELDS])


def without_history(columns: pa.Schema, target: Target) -> pa.Schema:
    """The columns of the source and of provenance."""
    if not keeps_history(target):
        return columns
    return pa.schema([field for field in columns if field.name not in HISTORY_COLUMNS])


def version_of(target: Target) -> str | None:
    """The column whose values order the versions of a row; None: the time at which they were read."""
    return None if target.version_column == INGESTED_AT else target.version_column


def is_replay_without_versions(target: Target) -> bool:
    return target.version_column == INGESTED_AT


def begins_of(target: Target, batch: pa.RecordBatch, read_at: datetime) -> pa.Array:
    """`_valid_from` of each row: its version where that is a time, else when it was read; of a log's change, when it was committed.

    A time without a zone counts as UTC. One outside the years 1 to 9999, as PostgreSQL has, is none.
    """
    name = COMMITTED_AT if has_changes(batch.schema) else version_of(target)
    read = pa.repeat(pa.scalar(read_at, INSTANT), batch.num_rows)
    if name is None:
        return read
    column = batch.column(name)
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms"))
    elif not pa.types.is_timestamp(kind):
        return read
    if column.type.tz is None:
        instants = column.cast(pa.timestamp("us"), safe=False).cast(INSTANT)
    else:
        instants = column.cast(INSTANT, safe=False)
    known = pc.and_(pc.greater_equal(instants, FIRST_INSTANT), pc.less_equal(instants, LAST_INSTANT))
    return pc.if_else(pc.fill_null(known, False), instants, read)


def with_validity(target: Target, rows: pa.RecordBatch, source: pa.RecordBatch, read_at: datetime) -> pa.RecordBatch:
    """`rows` with the columns of a history, each as the only one of its key. `source`: the same rows in the source's types."""
    added = [
        begins_of(target, source, read_at),
        pa.nulls(rows.num_rows, INSTANT),
        pa.repeat(pa.scalar(True), rows.num_rows),
    ]
    fields = [field.remove_metadata() for field in HISTORY_FIELDS]
    return pa.RecordBatch.from_arrays([*rows.columns, *added], schema=pa.schema([*rows.schema, *fields]))


def refuse_other_writing(target: Target, location: str, columns: Collection[str], schema: pa.Schema) -> None:
    """A table is a history or it is not. `columns`: the table's; `schema`: the source's, which may have such names itself.

    Raises:
        SinkRejected: the table was written in the other way.
    """
    has_history = set(HISTORY_COLUMNS) <= set(columns) - set(schema.names)
    if keeps_history(target) and not has_history:
        raise SinkRejected(
            f"table '{location}' has one row for each key, and write: history keeps every version",
            hint="reset the unit and remove the table; or give the history a table of its own: table in the unit's rule",
        )
    if has_history and not keeps_history(target):
        raise SinkRejected(
            f"table '{location}' is a history, and write: {target.write} would change its closed rows",
            hint="reset the unit and remove the table; or set write: history back",
        )
