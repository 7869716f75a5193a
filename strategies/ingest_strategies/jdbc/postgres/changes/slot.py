"""Replication slots: made, read, moved on to what a checkpoint has, copied, dropped.

Facts: `pg_replication_slots`, https://www.postgresql.org/docs/current/view-pg-replication-slots.html; the functions,
https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION. A slot's transactions are those whose commit begins
at or after `confirmed_flush_lsn`.
"""

import hashlib
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ingest_ray.sdk.errors import ConfigError, LogGone, SourceDenied, SourceLocked, SourceUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, UnitConfig, UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_number, lsn_text
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.standard_sql import quoted_text

OLDEST_VERSION = 140_000
FAILOVER_SINCE = 170_000
SETTLE_S = 10.0  # transactions that commit while a slot is made become visible some microseconds after
POLL_S = 0.05
RELOAD_HINT = "`ingest-ray reset` the unit, then run: it is loaded again, and goes on from there"

_END = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END"
_SLOT = """
SELECT coalesce(active_pid, 0)::bigint, coalesce(restart_lsn::text, ''), coalesce(confirmed_flush_lsn::text, ''),
       coalesce(wal_status, ''), coalesce(plugin::text, ''), coalesce(database::text, '') = current_database(), ({end})::text,
       coalesce(catalog_xmin::text, '0')::bigint, pg_postmaster_start_time()::text, slot_name::text
FROM pg_replication_slots WHERE slot_name IN ({names})"""
# Of this database: other ones have transactions of any length, and none of our rows.
_IN_PROGRESS = """
SELECT coalesce(string_agg(DISTINCT l.transactionid::text, ','), '') FROM pg_locks l
WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'{only}
  AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND a.datname <> current_database())
  AND NOT EXISTS (SELECT FROM pg_prepared_xacts p WHERE p.transaction = l.transactionid AND p.database <> current_database())"""
_COMMITS = (
    "SELECT count(*) FILTER (WHERE wait_event IN ('SyncRep', 'WALSync', 'WalSync', 'WALWrite', 'WalWrite')),"
    " current_setting('synchronous_standby_names') <> '' AND NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
    " FROM pg_stat_activity"
)
_ROOM = "SELECT current_setting('max_replication_slots')::bigint, (SELECT count(*) FROM pg_replication_slots), pg_is_in_recovery()"
MAY_REPLICATE = (
    "SELECT rolreplication OR rolsuper OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname IN ('rds_replication', 'alloydbsuperuser',"
    " 'cloudsqlsuperuser', 'azure_pg_admin') AND pg_has_role(r.oid, 'MEMBER')) FROM pg_roles WHERE rolname = current_user"
)
_SERVER = f"SELECT current_setting('wal_level'), current_setting('server_version_num')::bigint, ({MAY_REPLICATE})"


@dataclass(frozen=True)
class Slot:
    """`end`: of the log now. `confirmed`: transactions below it are not in the slot any more."""

    name: str
    active_pid: int
    restart: int | None
    confirmed: int | None
    wal_status: str
    end: int
    catalog_xmin: int = 0
    """Every transaction that the slot still has sees what was committed by transactions with smaller numbers."""
    server: str = ""
    """When the server was started: another server, or one whose log was begun anew, has another time."""

    @property
    def retained_bytes(self) -> int | None:
        """The part of the log that the server keeps because of the slot."""
        return None if self.restart is None else max(0, self.end - self.restart)

    @property
    def is_lost(self) -> bool:
        return self.wal_status == "lost" or self.restart is None or self.confirmed is None


def slot_name(spec: UnitSpec) -> str:
    return name_of(spec.endpoint, spec.config)


def name_of(endpoint: Endpoint, unit: UnitConfig) -> str:
    return own_name(endpoint, unit.unit_id, unit.sink_id)


def own_name(endpoint: Endpoint, unit_id: str, sink_id: str) -> str:
    """The slot of one unit and sink: lower-case letters, digits and `_`, at most 63. Also the name of the publication that units had each."""
    identity = f"{UnitRef(endpoint.endpoint_id, unit_id)}\0{sink_id}"
    return _name(endpoint, f"{endpoint.endpoint_id}_{unit_id}", identity)


def shared_name(endpoint: Endpoint) -> str:
    """The slot, and the publication, of all units of the endpoint."""
    return _name(endpoint, endpoint.endpoint_id, f"{endpoint.endpoint_id}\0\0all units")


def _name(endpoint: Endpoint, readable: str, identity: str) -> str:
    prefix = parse_config(PostgresConfig, endpoint).slot_prefix
    letters = re.sub(r"[^a-z0-9_]+", "_", readable.lower())
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    return f"{prefix}_{letters[: 50 - len(prefix)]}_{digest}"


def check_server(session: Session, endpoint_id: str) -> int:
    """The server's version number.

    Raises:
        ConfigError: it writes no log for logical decoding, or is too old.
        SourceDenied: the role may not read it.
    """
    level, version, may_replicate = session.rows(_SERVER)[0]
    if version < OLDEST_VERSION:
        raise ConfigError(f"{endpoint_id}: run_mode CHANGES needs PostgreSQL 14 or newer", hint="run_mode: INCREMENTAL")
    if level != "logical":
        raise ConfigError(
            f"{endpoint_id}: the server's wal_level is '{level}': its log does not have the changes of rows",
            hint="ALTER SYSTEM SET wal_level = logical, then restart the server; docs/changes.md has all that is needed",
        )
    if not may_replicate:
        raise SourceDenied(
            f"{endpoint_id}: the role may not use replication slots",
            hint="ALTER ROLE ... REPLICATION; or rds_replication",
        )
    return int(version)


def read_slot(session: Session, name: str) -> Slot | None:
    return read_slots(session, name).get(name)


def read_slots(session: Session, *names: str) -> Mapping[str, Slot]:
    """Those that exist, all as of one moment."""
    listed = ", ".join(map(quoted_text, names))
    return {row[-1]: _slot_of(*row) for row in session.rows(_SLOT.format(end=_END, names=listed))}


def _slot_of(
    pid: int,
    restart: str,
    confirmed: str,
    status: str,
    plugin: str,
    is_here: bool,
    end: str,
    catalog_xmin: int,
    server: str,
    name: str,
) -> Slot:
    if plugin != "pgoutput" or not is_here:
        raise ConfigError(
            f"replication slot '{name}' is of another database, or of plugin '{plugin}'", hint="field 'slot_prefix'"
        )
    numbers = [lsn_number(text) if text else None for text in (restart, confirmed)]
    return Slot(name, pid, numbers[0], numbers[1], status, lsn_number(end), catalog_xmin, server)


def read_log_end(session: Session) -> int:
    return lsn_number(session.rows(f"SELECT ({_END})::text")[0][0])


def create_slot(session: Session, name: str, version: int = OLDEST_VERSION) -> int:
    """Makes the slot; returns the position of its first transaction. The server waits for the transactions that are open now.

    From PostgreSQL 17 on a standby that synchronises slots gets it, too: https://www.postgresql.org/docs/current/logicaldecoding-explanation.html

    Raises:
        ConfigError: the server has no room for one more.
    """
    most, taken, is_standby = session.rows(_ROOM)[0]
    if taken >= most:
        raise ConfigError(
            f"replication slot '{name}' cannot be made: all {most} of the server are taken (max_replication_slots)",
            hint="drop those that nothing reads (pg_replication_slots; `ingest-ray doctor` names ours), or raise the setting and restart",
        )
    failover = ", false, false, true" if version >= FAILOVER_SINCE and not is_standby else ""
    try:
        created = session.rows(
            f"SELECT lsn::text FROM pg_create_logical_replication_slot({quoted_text(name)}, 'pgoutput'{failover})"
        )
    except SourceLocked as error:
        raise SourceUnavailable(
            f"replication slot '{name}' is not made yet: the server waits for transactions that are open ({error.message})",
            hint="end long transactions at the source (pg_stat_activity), and run again",
        ) from None
    wait_until_visible(session)
    return lsn_number(created[0][0])


def wait_until_visible(session: Session, xids: Collection[int] | None = None) -> None:
    """A commit is in the log before other sessions see it, and with a synchronous standby long before: a snapshot that is taken now
    could miss it, while the log says that it was. So transactions in progress are waited for: those of `xids`, or all, for some
    seconds, and then those that wait for a standby. A transaction holds the lock of its number until others see what it did, and a
    snapshot's own list lacks the newest ones: https://www.postgresql.org/docs/current/view-pg-locks.html.

    Raises:
        SourceUnavailable: they are not visible yet.
    """
    deadline = time.monotonic() + SETTLE_S
    listed = ",".join(map(str, xids)) if xids is not None else session.rows(_IN_PROGRESS.format(only=""))[0][0]
    while listed:
        only = f" AND l.transactionid::text = ANY (string_to_array({quoted_text(listed)}, ','))"
        listed = session.rows(_IN_PROGRESS.format(only=only))[0][0]
        if listed and time.monotonic() > deadline:
            waiting, is_hidden = session.rows(_COMMITS)[0]
            if not waiting and not is_hidden and xids is None:
                return
            raise SourceUnavailable(
                "transactions that were committed are not visible yet"
                if waiting or xids is not None
                else "transactions are open, and the role may not see whether they wait for a synchronous standby",
                hint="GRANT pg_read_all_stats TO the role; or end long transactions (pg_stat_activity), and run again",
            )
        if listed:
            time.sleep(POLL_S)


def require_slot(slot: Slot | None, name: str, begun: int) -> Slot:
    """Raises `LogGone` where the slot does not have every transaction from `begun` on."""
    hint = RELOAD_HINT
    since = f"the log is gone from {lsn_text(begun)} on"
    if slot is None:
        raise LogGone(f"{since}: replication slot '{name}' does not exist any more", hint=hint)
    if slot.confirmed is None and slot.active_pid and slot.wal_status != "lost":
        raise SourceUnavailable(f"replication slot '{name}' is being made by another run")
    if slot.is_lost or slot.confirmed is None:
        raise LogGone(
            f"{since}: replication slot '{name}' was invalidated (max_slot_wal_keep_size, or a failover)", hint=hint
        )
    if slot.confirmed > begun:
        raise LogGone(
            f"{since}: replication slot '{name}' was moved on to {lsn_text(slot.confirmed)} by another reader",
            hint=hint,
        )
    if slot.end < begun:
        raise LogGone(
            f"{since}: the log ends at {lsn_text(slot.end)}: the server was restored from an earlier copy", hint=hint
        )
    return slot


def advance_slot(session: Session, slot: Slot, to: int) -> None:
    """Lets the part of the log below `to` go. Repeating it changes nothing; a slot never goes back."""
    if slot.confirmed is None or slot.confirmed >= to:
        return
    session.rows(
        f"SELECT end_lsn::text FROM pg_replication_slot_advance({quoted_text(slot.name)}, {quoted_text(lsn_text(to))}::pg_lsn)"
    )


def copy_slot(session: Session, name: str, to: str) -> None:
    """Makes a slot that has the same transactions. It is not one for failovers."""
    session.rows(
        f"SELECT slot_name::text FROM pg_copy_logical_replication_slot({quoted_text(name)}, {quoted_text(to)})"
    )


def list_slot_names(session: Session) -> set[str]:
    return {row[0] for row in session.rows("SELECT slot_name::text FROM pg_replication_slots")}


def drop_slot(session: Session, name: str) -> bool:
    """False where there is none."""
    return bool(
        session.rows(
            "SELECT pg_drop_replication_slot(slot_name)::text FROM pg_replication_slots"
            f" WHERE slot_name = {quoted_text(name)}"
        )
    )
