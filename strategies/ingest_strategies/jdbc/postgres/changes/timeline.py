"""Which history of its log a server has: its system identifier, and its timeline.

A standby that is promoted, and a server that is restored to an earlier moment, begin a new timeline: what the old one had from there on is
lost, and its positions are given to other transactions. The server's history file says where each timeline was left:
https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES. An identifier is made by `initdb`: a dump that was restored,
and a server that `pg_upgrade` made, have another one.
"""

import json

from ingest_ray.sdk.errors import (
    ConfigError,
    IngestError,
    LogGone,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from ingest_ray.sdk.types import LoggedTable, LogHistory, Position, Scope
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_number, lsn_text, number_of, position_of
from ingest_strategies.jdbc.postgres.session import postgres_session

# The control file has a new timeline only after the first checkpoint; the name of the file that is written has it at once.
_HISTORY = """
SELECT (SELECT system_identifier::text FROM pg_control_system()), CASE WHEN pg_is_in_recovery()
  THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline) FROM pg_control_checkpoint() c, pg_control_recovery() r)::bigint
  ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END,
  (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text"""
MOST_COLUMNS = 300  # of which the numbers are kept: a checkpoint's document has at most 64 KiB
RELOAD_HINT = "`ingest-ray reset` the unit, then run: it is loaded again; `ingest-ray verify --repair --allow-deletes` then removes rows that the source lost"
PROOF_HINT = (
    "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO the role, or let it open replication connections (REPLICATION, and a line of"
    " pg_hba.conf for its database); or load again: `ingest-ray reset`"
)


def read_history(session: Session, table_sql: str = "") -> LogHistory | None:
    """`seen`: of every transaction that other sessions see now, the log has the commit before this position. None: the server does not say.
    `table_sql`: a query of what a `LoggedTable` has, for the same request."""
    try:
        rows = session.rows(f"{_HISTORY}, x.* FROM ({table_sql}) x" if table_sql else _HISTORY)
    except SourceUnavailable:
        raise
    except (SourceError, ConfigError):  # a service without these functions, or without the right to them
        return None
    (server, timeline, end, *table) = rows[0]
    found = LogHistory(server=server, timeline=timeline, seen=position_of(lsn_number(end)))
    if not table:
        return found
    oid, publication, published, columns = table
    numbers = json.loads(columns or "{}")
    known = numbers if len(numbers) <= MOST_COLUMNS else {}
    logged = LoggedTable(oid=oid, publication=publication, published=published, columns=known)
    return found.model_copy(update={"table": logged})


def read_until(
    known: LogHistory | None, current: LogHistory | None, upper: Position, *, looks_up: bool
) -> LogHistory | None:
    """The history of a checkpoint that will have everything up to `upper`. `looks_up`: and rows that are read from the table meanwhile. Of
    rows that were read so before, it is known only that they are not newer than now."""
    if current is None:
        return None
    if looks_up:
        return current.model_copy(update={"seen": None})
    before = current.seen if known is not None and known.seen is None else known.seen if known is not None else None
    newest = max(number_of(position) for position in (upper, before) if position is not None)
    return current.model_copy(update={"seen": position_of(newest)})


def require_history(
    session: Session, unit_id: str, known: LogHistory | None, begun: int, current: LogHistory | None
) -> None:
    """Compares the server's history with the checkpoint's. `known` None: of an older version, which goes on.

    Raises:
        LogGone: it is another server, or has lost a part of the log that was read.
        SourceDenied: the role may not read where the timelines begin.
    """
    if known is None or (current is not None and is_same(known, current)):
        return
    since = f"{unit_id}: the log is gone from {lsn_text(begun)} on"
    if current is None:
        raise SourceDenied(
            f"{unit_id}: whether the server is the one that was read before cannot be seen: pg_control_system()",
            hint="GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint(), pg_control_recovery() TO the role",
        )
    if known.server != current.server:
        raise LogGone(
            f"{since}: another server answers: its system identifier is {current.server}, and was {known.server} (a restored dump,"
            " pg_upgrade, or another server of this name)",
            hint=RELOAD_HINT,
        )
    left = _left_at(session, unit_id, known.timeline, current.timeline)
    if left is None:
        raise LogGone(
            f"{since}: the server is on timeline {current.timeline}, which does not come from timeline {known.timeline}, which was read"
            " (the old primary came back, or the server was restored from an earlier copy)",
            hint=RELOAD_HINT,
        )
    if known.seen is None:
        raise LogGone(
            f"{since}: timeline {known.timeline} ended at {lsn_text(left)}, after rows were read from the table itself: they may be of"
            " transactions that are lost",
            hint=RELOAD_HINT,
        )
    read = max(begun, number_of(known.seen))
    if left < read:
        raise LogGone(
            f"{since}: transactions were read that the server lost: timeline {known.timeline} ended at {lsn_text(left)}, and was read up to"
            f" {lsn_text(read)} (a standby was promoted that had not received them, or the server was restored to an earlier moment)",
            hint=RELOAD_HINT,
        )


def is_same(one: LogHistory | None, other: LogHistory | None) -> bool:
    return one is None or other is None or (one.server, one.timeline) == (other.server, other.timeline)


def is_kept(scope: Scope, history: LogHistory | None, end: int) -> bool:
    """Whether what an earlier run planned to read is in the log as it is now, whole."""
    return scope.target.upper is not None and number_of(scope.target.upper) <= end and is_same(scope.history, history)


def _left_at(session: Session, unit_id: str, old: int, new: int) -> int | None:
    """Where timeline `new`, or one that it comes from, left timeline `old`; None: it does not come from it."""
    if new < old:
        return None
    ends = {}
    for line in _read_history_file(session, unit_id, old, new).splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[0].isdigit():
            ends[int(fields[0])] = lsn_number(fields[1])
    return min(end for number, end in ends.items() if number >= old) if old in ends else None


def _read_history_file(session: Session, unit_id: str, old: int, new: int) -> str:
    name = f"{new:08X}.history"
    try:
        return str(session.rows(f"SELECT pg_read_file('pg_wal/{name}')")[0][0])
    except SourceDenied:
        pass  # by default only superusers may
    try:
        from ingest_strategies.jdbc.postgres.replication import run_replication_command  # loads pg8000

        return str(run_replication_command(postgres_session(session), f"TIMELINE_HISTORY {new}")[0][1])
    except IngestError as error:
        raise SourceDenied(
            f"{unit_id}: the server is on timeline {new}, and timeline {old} was read: whether it has all of that cannot be seen, because"
            f" '{name}' cannot be read: {error.message}",
            hint=PROOF_HINT,
        ) from None
