"""What the log publishes of a table: its publication, and its replica identity.

https://www.postgresql.org/docs/current/logical-replication-publication.html
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ConfigError, IngestError, LogGone, ModeUnsupported, SourceDenied
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.slot import shared_name
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.postgres.session import postgres_session
from ingest_strategies.jdbc.standard_sql import StandardSql, quoted, quoted_text

# The table and, of a partitioned one, its leaves, of which each has an identity of its own; and whether the unit's key is unique only at
# the end of a transaction.
_IDENTITY = """
WITH RECURSIVE family(oid) AS (
  SELECT {table}::regclass::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid)
SELECT c.relname::text, c.relreplident::text, c.relpersistence::text,
  coalesce((SELECT string_agg(a.attname::text, chr(10)) FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid
    AND a.attnum = ANY (x.indkey::int2[]) WHERE x.indrelid = c.oid
    AND CASE c.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident ELSE false END), ''),
  coalesce((SELECT bool_and(NOT x.indimmediate) FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique AND x.indpred IS NULL
    AND ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (x.indkey::int2[]))
      <@ ARRAY[{key}]::text[]), false)
FROM pg_class c JOIN family f ON f.oid = c.oid WHERE c.relkind = 'r'"""

_PUBLICATION = """
SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot,
  EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = p.pubname AND t.schemaname = {schema} AND t.tablename = {table}),
  coalesce((SELECT to_jsonb(t) ->> 'rowfilter' FROM pg_publication_tables t
    WHERE t.pubname = p.pubname AND t.schemaname = {schema} AND t.tablename = {table}), ''),
  coalesce((SELECT to_jsonb(t) ->> 'attnames' FROM pg_publication_tables t
    WHERE t.pubname = p.pubname AND t.schemaname = {schema} AND t.tablename = {table}), '')
FROM pg_publication p WHERE p.pubname = {name}"""

# Of a table that is named in it: which tables of a schema, or of all, it had at some time is not known.
_PUBLISHED = """
SELECT n.nspname || '.' || c.relname, r.xmin::text::bigint FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.pubname = {name}{only}"""

_GENERATED = "SELECT attname::text, attgenerated::text FROM pg_attribute WHERE attrelid = {table}::regclass AND attgenerated <> '' AND NOT attisdropped"
GENERATED_SINCE = 180_000  # publish_generated_columns

IDENTITIES = {
    "d": "default: the old key of each update and delete is in the log",
    "i": "an index: its columns of each update and delete are in the log",
    "f": "full: the whole old row of each update and delete is in the log",
    "n": "nothing: updates and deletes are not in the log",
}


def publication_name(spec: UnitSpec) -> str:
    """The one that has the tables of all units of the endpoint."""
    return parse_config(PostgresConfig, spec.endpoint).publication or shared_name(spec.endpoint)


def table_literal(spec: UnitSpec) -> str:
    return quoted_text(StandardSql().table(spec.dataset))


def check_identity(session: Session, spec: UnitSpec) -> str:
    """What the log has of old rows, as a sentence.

    Raises:
        ModeUnsupported: not the unit's key, so that an update or delete could not be applied; or, once the table is published, the
            source would refuse its own updates.
    """
    kinds = set()
    listed = ", ".join(map(quoted_text, spec.key))
    for name, kind, persistence, columns, is_deferrable in session.rows(
        _IDENTITY.format(table=table_literal(spec), key=listed)
    ):
        kinds.add(kind)
        key = set(columns.split("\n")) if columns else set()
        if persistence != "p":
            raise ModeUnsupported(f"{spec.unit_id}: table '{name}' is unlogged: the log has none of its rows")
        if kind != "f" and not key:
            raise ModeUnsupported(
                f"{spec.unit_id}: table '{name}' has no replica identity: once it is published, PostgreSQL refuses every UPDATE and"
                " DELETE of it, also those of its applications",
                hint="ALTER TABLE ... REPLICA IDENTITY FULL, or USING INDEX; or give it a primary key",
            )
        if kind != "f" and spec.write_mode.merges and not set(spec.key) <= key:
            raise ModeUnsupported(
                f"{spec.unit_id}: the log has {', '.join(sorted(key))} of the old rows of table '{name}', and the unit's key is"
                f" {', '.join(spec.key)}",
                hint="ALTER TABLE ... REPLICA IDENTITY FULL, or name those columns as policy.primary_key",
            )
        if is_deferrable and spec.write_mode.merges:
            raise ModeUnsupported(
                f"{spec.unit_id}: the key {', '.join(spec.key)} of table '{name}' is deferrable: within a transaction two rows may have"
                " one key, and the log does not say which of them a change is of",
                hint="a unique index that is checked at once, write: append, or another run mode",
            )
    return "; ".join(IDENTITIES[kind] for kind in sorted(kinds)) or "the table has no partition yet"


def check_generated(session: Session, spec: UnitSpec, names: Sequence[str], version: int) -> None:
    """Raises `ModeUnsupported` for columns that are computed and not in the log."""
    rows = session.rows(_GENERATED.format(table=table_literal(spec)))
    missing = [name for name, kind in rows if name in names and (kind == "v" or version < GENERATED_SINCE)]
    if missing:
        raise ModeUnsupported(
            f"{spec.unit_id}: generated columns are not in the log: {', '.join(missing)}",
            hint="leave them out with policy.exclude_columns; stored ones are in the log of PostgreSQL 18 and newer",
        )


def check_published(session: Session, spec: UnitSpec, name: str, *, is_first: bool) -> bool:
    """Whether the publication has the table; False only before the unit's first load.

    Raises:
        ConfigError: it does not publish every change of the table.
        LogGone: it, or the table in it, is gone: changes since then are not in the log.
    """
    rows = _read_publication(session, spec, name)
    if not rows or not rows[0][2]:
        if is_first:
            return False
        raise LogGone(
            f"{spec.unit_id}: publication '{name}' does not have the table any more: it was dropped, or the table was made again",
            hint="`ingest-ray reset` the unit, then run: it is loaded again",
        )
    is_complete, is_by_root, _, row_filter, columns = rows[0]
    if not is_complete or row_filter or (spec.dataset.facts["relkind"] == "p" and not is_by_root):
        raise ConfigError(
            f"{spec.unit_id}: publication '{name}' does not publish every change of the table",
            hint="it must publish insert, update, delete and truncate, without a row filter, and, of partitioned tables,"
            " WITH (publish_via_partition_root = true)",
        )
    left_out = _left_out(spec, columns)
    if left_out:
        raise ConfigError(
            f"{spec.unit_id}: publication '{name}' does not publish column '{left_out[0]}'",
            hint="publish the table without a list of columns; or leave the column out with policy.exclude_columns",
        )
    return True


def _left_out(spec: UnitSpec, published: str) -> list[str]:
    """Columns that are read and not published. `published`: as JSON; empty: of a server that has no lists of columns."""
    names = schema_of(spec.dataset, spec.policy.columns or None).names
    return sorted(set(names) - set(json.loads(published))) if published else []


def _read_publication(session: Session, spec: UnitSpec, name: str) -> list[tuple[Any, ...]]:
    schema, table = str(spec.dataset.facts["schema"]), str(spec.dataset.facts["table"])
    literals = {"schema": quoted_text(schema), "table": quoted_text(table), "name": quoted_text(name)}
    return session.rows(_PUBLICATION.format(**literals))


def publish_table(session: Session, spec: UnitSpec, version: int) -> None:
    """Adds the table to the publication of the endpoint's units, which is made where it does not exist. Writers are not blocked.

    Raises:
        ConfigError: another publication is given, and does not have the table.
        SourceDenied: the role may not make one.
    """
    name = publication_name(spec)
    for is_last in (False, False, True):
        if check_published(session, spec, name, is_first=True):
            return
        has_any = bool(_read_publication(session, spec, name))
        if parse_config(PostgresConfig, spec.endpoint).publication is not None:
            raise ConfigError(
                f"{spec.unit_id}: publication '{name}' {'does not have the table' if has_any else 'does not exist'}",
                hint=f"ALTER PUBLICATION {quoted(name)} ADD TABLE {StandardSql().table(spec.dataset)}",
            )
        try:
            postgres_session(session).change(_publish_sql(spec, name, version, has_any=has_any))
        except SourceDenied as error:
            table = StandardSql().table(spec.dataset)
            raise SourceDenied(
                error.message,
                hint=f"to make it, the role must own the table and have CREATE on the database; or let an administrator make one, and"
                f" name it: 'publication' of the endpoint (CREATE PUBLICATION ... FOR TABLE {table})",
            ) from None
        except IngestError:
            if is_last:
                raise  # else another unit has just made it, or has added the same table for another sink


def _publish_sql(spec: UnitSpec, name: str, version: int, *, has_any: bool) -> str:
    table = StandardSql().table(spec.dataset)
    if has_any:
        return f"ALTER PUBLICATION {quoted(name)} ADD TABLE {table}"
    options = ["publish_via_partition_root = true"]
    if version >= GENERATED_SINCE:
        options.append("publish_generated_columns = stored")
    return f"CREATE PUBLICATION {quoted(name)} FOR TABLE {table} WITH ({', '.join(options)})"


def read_published_xid(session: Session, name: str, table: str) -> int | None:
    """The number of the transaction that added the table, `schema.table`, to the publication; None where that is not known."""
    return read_published_xids(session, name, f" AND n.nspname || '.' || c.relname = {quoted_text(table)}").get(table)


def read_published_xids(session: Session, name: str, only: str = "") -> Mapping[str, int]:
    """Those of all tables that the publication names. Of two tables whose names look alike (a dot in one) neither is known."""
    rows = session.rows(_PUBLISHED.format(name=quoted_text(name), only=only))
    names = Counter(table for table, _ in rows)
    return {table: int(xid) for table, xid in rows if names[table] == 1}


def unpublish_table(session: Session, spec: UnitSpec) -> bool:
    """False where the units' own publication does not have it."""
    name = shared_name(spec.endpoint)
    rows = _read_publication(session, spec, name)
    if not rows or not rows[0][2]:
        return False
    postgres_session(session).change(f"ALTER PUBLICATION {quoted(name)} DROP TABLE {StandardSql().table(spec.dataset)}")
    return True


def drop_publication(session: Session, name: str) -> bool:
    """Only one that units have made; False where there is none."""
    if not session.rows(f"SELECT 1::bigint FROM pg_publication WHERE pubname = {quoted_text(name)}"):
        return False
    postgres_session(session).change(f"DROP PUBLICATION IF EXISTS {quoted(name)}")
    return True
