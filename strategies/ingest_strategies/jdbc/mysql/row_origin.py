"""Whether other servers write the rows of this one: a replica, a node of Galera or of group replication; and how far it has
applied what they wrote.

https://mariadb.com/kb/en/show-replica-status/ (needs SLAVE MONITOR), https://mariadb.com/kb/en/galera-cluster-status-variables/,
https://dev.mysql.com/doc/refman/8.0/en/show-replica-status.html (needs REPLICATION CLIENT).
"""

from dataclasses import dataclass
from typing import Any

from ingest_ray.sdk.errors import ConfigError, SourceDenied, SourceError, SourceUnavailable
from ingest_strategies.jdbc.dialect import Session

GRANT = "GRANT SLAVE MONITOR ON *.* (MySQL: REPLICATION CLIENT) TO the user of this endpoint, to see whether it is a replica"
_STATUS = (
    "SHOW ALL SLAVES STATUS",
    "SHOW REPLICA STATUS",
    "SHOW SLAVE STATUS",
)  # MariaDB, MySQL from 8.0.22, before it
_VARIABLES = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'gtid_slave_pos', 'wsrep_on', 'group_replication_group_name')"
_THREADS = (
    "SELECT count(*) FROM information_schema.processlist WHERE command LIKE 'Slave%' OR state LIKE 'Slave has read%'"
    " OR state LIKE 'Replica has read%' OR state LIKE 'Waiting for % to send event'"
)


@dataclass(frozen=True)
class RowOrigin:
    """`name` is the server's role where others write too; `behind_s` how many seconds ago what it has applied was written
    (None: unknown)."""

    name: str = ""
    behind_s: int | None = None
    note: str | None = None

    @property
    def has_other_writers(self) -> bool:
        return bool(self.name)


def read_row_origin(session: Session) -> RowOrigin:
    variables = {str(name).lower(): str(value) for name, value in session.rows(_VARIABLES)}
    if variables.get("wsrep_on", "OFF") == "ON":
        is_ready = [str(row[1]) for row in session.rows("SHOW GLOBAL STATUS LIKE 'wsrep_ready'")] == ["ON"]
        note = "wsrep_ready is ON: a Galera node applies what others commit within a moment"
        return RowOrigin("Galera node", 0 if is_ready else None, note if is_ready else "wsrep_ready is not ON")
    channels = read_channels(session)
    if channels is None:
        signs = [name for name in ("gtid_slave_pos",) if variables.get(name)]
        signs += ["read_only"] if variables.get("read_only", "OFF") not in ("OFF", "0") else []
        signs += ["replication threads"] if has_replication_threads(session) else []
        return RowOrigin("replica" if signs else "", None, f"{', '.join(signs)}; {GRANT}" if signs else None)
    if channels:
        return replica_of(channels)
    if variables.get("group_replication_group_name"):
        return RowOrigin("node of group replication", 0)
    return RowOrigin()


def read_channels(session: Session) -> list[dict[str, str | None]] | None:
    """The status of every channel of a replica, by column in lower case; none on a primary; None where it may not be seen."""
    for statement in _STATUS:
        try:
            return [{name.lower(): value for name, value in row.items()} for row in named_rows(session, statement)]
        except SourceDenied:
            return None
        except SourceUnavailable:
            raise
        except (SourceError, ConfigError):
            continue  # this server has another statement for it
    return None


def named_rows(session: Session, sql: str) -> list[dict[str, Any]]:
    named: Any = session
    rows: list[dict[str, Any]] = named.named_rows(sql)
    return rows


def has_replication_threads(session: Session) -> bool:
    try:
        return int(session.rows(_THREADS)[0][0]) > 0
    except SourceDenied:
        return False


def replica_of(channels: list[dict[str, str | None]]) -> RowOrigin:
    """The worst of all channels. Seconds behind are known only while both threads run."""
    behind: list[int] = []
    for channel in channels:
        running = [channel.get(f"{kind}_{thread}_running") for thread in ("io", "sql") for kind in ("slave", "replica")]
        seconds = channel.get("seconds_behind_master") or channel.get("seconds_behind_source")
        name = channel.get("connection_name") or channel.get("channel_name") or ""
        if [state for state in running if state] != ["Yes", "Yes"] or seconds is None:
            states = "/".join(state for state in running if state)
            return RowOrigin("replica", None, f"replication '{name}' does not run (io/sql thread: {states})")
        behind.append(int(seconds))
    return RowOrigin("replica", max(behind), f"{max(behind)} s behind its primary")
