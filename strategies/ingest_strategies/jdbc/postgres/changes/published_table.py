"""Which table the log has changes of, and by which publication: what was taken out of it and put back is a gap in the log that nothing else shows.

A publication decides at each change, as it was then, whether the log has it: while `publish`, a row filter or the table itself was missing,
changes were left out. Each `ALTER` gives its row of the catalog another `xmin`, also one that undoes the last. A column has a number for life
(`attnum`): one that was dropped and added again, or took over the name of another, has values in no change.
https://www.postgresql.org/docs/current/catalog-pg-publication.html, https://www.postgresql.org/docs/current/catalog-pg-attribute.html
"""

from ingest_ray.sdk.errors import LogGone, SnapshotLost
from ingest_ray.sdk.types import LoggedTable, LogHistory, SegmentState, Slice, UnitSpec
from ingest_strategies.jdbc.changes.checkpoint import history_of
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text, position_of
from ingest_strategies.jdbc.postgres.changes.publication import table_literal
from ingest_strategies.jdbc.postgres.changes.timeline import read_history, require_history
from ingest_strategies.jdbc.standard_sql import quoted_text

SCHEMAS_SINCE = 150_000  # pg_publication_namespace

_TABLE = """
SELECT c.oid::bigint, {name}::text AS publication, coalesce((SELECT p.oid::text || '/' || p.xmin::text FROM pg_publication p WHERE p.pubname = {name}), '')
  || coalesce((SELECT ' ' || r.oid::text || '/' || r.xmin::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
    WHERE p.pubname = {name} AND r.prrelid = c.oid), ''){schemas} AS published,
  (SELECT json_object_agg(attname, attnum)::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
FROM pg_class c WHERE c.oid = {table}::regclass"""
_SCHEMAS = """
  || coalesce((SELECT ' ' || s.oid::text || '/' || s.xmin::text FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid
    WHERE p.pubname = {name} AND s.pnnspid = c.relnamespace), '')"""


def table_sql(spec: UnitSpec, publication: str, version: int) -> str:
    name = quoted_text(publication)
    schemas = _SCHEMAS.format(name=name) if version >= SCHEMAS_SINCE else ""
    return _TABLE.format(name=name, table=table_literal(spec), schemas=schemas)


def require_same(
    session: Session, spec: UnitSpec, state: SegmentState | None, begun: int, publication: str, version: int
) -> LogHistory | None:
    """The history of the server, with the table as it is.

    Raises:
        LogGone: it is not the checkpoint's: another server or table, or one of which changes may be lost or unpublished.
    """
    return _require(session, spec, history_of(state), begun, publication, version)


def _require(
    session: Session, spec: UnitSpec, known: LogHistory | None, begun: int, publication: str, version: int
) -> LogHistory | None:
    current = read_history(session, table_sql(spec, publication, version))
    require_history(session, spec.unit_id, known, begun, current)
    before = known.table if known is not None else None
    found = current.table if current is not None else None
    if before is not None and found is not None and (reason := _difference(before, found)) is not None:
        raise LogGone(
            f"{spec.unit_id}: the log is gone from {lsn_text(begun)} on: {reason}",
            hint="`ingest-ray reset` the unit, then run: it is loaded again, and goes on from there",
        )
    return current


def require_planned(session: Session, spec: UnitSpec, piece: Slice, upper: int) -> None:
    """After the slice was read: it was planned up to `upper`, and another server may have answered, or the table was altered.

    Raises:
        SnapshotLost: plan again.
    """
    planned = piece.hints.get("history")
    if planned is None:
        return
    history = LogHistory.model_validate(planned).model_copy(update={"seen": position_of(upper)})
    assert history.table is not None
    try:
        _require(session, spec, history, upper, history.table.publication, int(str(piece.hints["version"])))
    except LogGone as error:
        raise SnapshotLost(f"the plan is of another log: {error.message}", hint="the run plans again") from None


def _difference(before: LoggedTable, now: LoggedTable) -> str | None:
    if before.oid != now.oid:
        return "the table was made again, or another one has its name now"
    if before.publication == now.publication and before.published != now.published:
        return f"publication '{now.publication}' was altered since: changes of that time may not be in the log"
    others = [name for name, number in before.columns.items() if now.columns.get(name, number) != number]
    if others:
        return (
            f"column '{others[0]}' is another one than before: it was dropped and added again, or another column was renamed to it,"
            " and the values of rows that were not changed since are in no change"
        )
    return None
