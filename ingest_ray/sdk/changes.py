"""The columns that a row has which comes from a database's log, besides those of its table.

A sink that upserts applies them and does not store them: `insert` and `update` write the row, `delete` removes it, and `truncate`, a
row without values, says that no older row is left. A slice of such rows has one row for each key. A sink that appends stores every
change as a row, with these columns.
"""

from __future__ import annotations

import pyarrow as pa

OP = "_op"
LSN = "_lsn"
SEQ = "_seq"
COMMITTED_AT = "_commit_at"
UNCHANGED = "_unchanged"

LOADED, INSERT, UPDATE, DELETE, TRUNCATE = "load", "insert", "update", "delete", "truncate"

_MARK = {b"ingest:change": b"1"}  # a source may have a column of the same name
CHANGE_FIELDS = (
    pa.field(OP, pa.string(), metadata=_MARK),
    pa.field(LSN, pa.int64(), metadata=_MARK),
    pa.field(SEQ, pa.int64(), metadata=_MARK),
    pa.field(COMMITTED_AT, pa.timestamp("us", "UTC"), metadata=_MARK),
    pa.field(UNCHANGED, pa.string(), metadata=_MARK),
)
"""`_lsn`: where the log has the commit; `_seq`: the position of the change in its transaction. `_unchanged`: the columns whose values the
log does not repeat. For an upsert: a character for each column of the table's schema, `1` where the sink's row keeps its value; NULL where
the row is whole. For an append: a JSON list of their names."""
CHANGE_COLUMNS = tuple(field.name for field in CHANGE_FIELDS)


def with_changes(schema: pa.Schema) -> pa.Schema:
    """The schema of changes of a table: a delete has only its key, so no column is NOT NULL."""
    return pa.schema([*(field.with_nullable(True) for field in schema), *CHANGE_FIELDS])


def has_changes(schema: pa.Schema) -> bool:
    return OP in schema.names and (schema.field(OP).metadata or {}).get(b"ingest:change") == b"1"


def table_columns(schema: pa.Schema) -> pa.Schema:
    """The columns of the table itself."""
    return pa.schema([field for field in schema if field not in CHANGE_FIELDS]) if has_changes(schema) else schema
