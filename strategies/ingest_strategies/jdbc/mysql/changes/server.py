"""What the server's log has and keeps: its settings, its files, where it ends, and what the user may read of it.

https://mariadb.com/kb/en/replication-and-binary-log-system-variables/,
https://dev.mysql.com/doc/refman/8.4/en/replication-options-binary-log.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ConfigError, IngestError, LogGone, ModeUnsupported, SourceDenied, SourceError
from ingest_ray.sdk.types import Endpoint, UnitSpec
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.mysql.catalog import text_literal
from ingest_strategies.jdbc.mysql.changes.event_kinds import FORMAT
from ingest_strategies.jdbc.mysql.changes.event_stream import FIRST_OFFSET, RELOAD_HINT, open_stream
from ingest_strategies.jdbc.mysql.changes.gtids import GtidState
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.row_origin import named_rows, read_row_origin

_NAMES = (
    "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "binlog_row_value_options", "server_id", "gtid_mode",
    "expire_logs_days", "binlog_expire_logs_seconds", "lower_case_table_names", "log_slave_updates", "log_replica_updates", "version",
)  # fmt: skip
_STATUS = (
    "SHOW BINARY LOG STATUS",
    "SHOW MASTER STATUS",
)  # MySQL from 8.2, MariaDB's from 10.5 is `SHOW BINLOG STATUS`
ENGINES = ("InnoDB", "Aria", "MyISAM", "ROCKSDB")  # each change of a row is in the log
TRANSACTIONAL = ("InnoDB", "ROCKSDB")
GRANT = (
    "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO the user of this endpoint (MySQL, and MariaDB before 10.5: REPLICATION SLAVE,"
    " REPLICATION CLIENT)"
)
RELOAD_GRANT = "GRANT RELOAD ON *.* TO the user of this endpoint: the first load needs it for a moment"
_CASCADES = (
    "SELECT constraint_name, delete_rule, update_rule FROM information_schema.referential_constraints WHERE constraint_schema = {schema}"
    " AND table_name = {table} AND (delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))"
)
REPLICA_UPDATES = ("log_slave_updates", "log_replica_updates")
DAY_S = 86_400


@dataclass(frozen=True)
class LogServer:
    """Its settings, by name in lower case."""

    settings: dict[str, str]

    @property
    def is_mariadb(self) -> bool:
        return "mariadb" in self.settings.get("version", "").lower()

    @property
    def server_id(self) -> str:
        return self.settings.get("server_id", "")

    @property
    def folds_names(self) -> bool:
        return self.settings.get("lower_case_table_names", "0") != "0"

    @property
    def has_names(self) -> bool:
        return self.settings.get("binlog_row_metadata", "").upper() == "FULL"

    @property
    def retention_s(self) -> int | None:
        """How long it keeps a file of its log after the last change in it; None: until somebody purges it."""
        seconds = int(self.settings.get("binlog_expire_logs_seconds") or 0)
        return seconds or round(float(self.settings.get("expire_logs_days") or 0) * DAY_S) or None


@dataclass(frozen=True)
class LogFile:
    name: str
    size_bytes: int


def read_server(session: Session) -> LogServer:
    listed = ", ".join(f"'{name}'" for name in _NAMES)
    rows = session.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    return LogServer({str(name).lower(): str(value) for name, value in rows})


def check_server(server: LogServer, endpoint_id: str) -> None:
    """Raises `ConfigError` where the log does not have every change of every row."""
    settings = server.settings
    if settings.get("log_bin", "OFF").upper() not in ("ON", "1"):
        raise ConfigError(f"{endpoint_id}: the server writes no binary log", hint="log_bin, server_id and binlog_format = ROW, then a restart; docs/changes-mysql.md")  # fmt: skip
    wanted = {"binlog_format": ("ROW",), "binlog_row_image": ("FULL", "FULL_NODUP"), "binlog_row_value_options": ("",)}
    for name, (value, *others) in wanted.items():
        found = settings.get(name, value)
        if found.upper() not in (value, *others):
            raise ConfigError(
                f"{endpoint_id}: the server's {name} is '{found}': its log does not have whole rows",
                hint=f"SET GLOBAL {name} = '{value}', and in the server's configuration; sessions that are open keep their own",
            )


def check_table(session: Session, server: LogServer, spec: UnitSpec) -> None:
    """Raises `ModeUnsupported` for a table of which the log does not have every change."""
    facts = spec.dataset.facts
    engine = str(facts.get("engine"))
    if engine not in ENGINES:
        raise ModeUnsupported(
            f"{spec.unit_id}: the log does not have every change of a table of engine '{engine}'", hint="run_mode: FULL or INCREMENTAL"
        )  # fmt: skip
    refuse_binary_json(server, spec)
    schema, table = (text_literal(str(facts[name])) for name in ("schema", "table"))
    rows = session.rows(_CASCADES.format(schema=schema, table=table))
    if rows and not spec.policy.allow_lossy:
        name, on_delete, on_update = rows[0]
        raise ModeUnsupported(
            f"{spec.unit_id}: foreign key '{name}' (ON DELETE {on_delete}, ON UPDATE {on_update}) changes rows of which the log has nothing:"
            " InnoDB does it below the log",
            hint="run_mode: INCREMENTAL; or a foreign key without actions; or policy allow_lossy: true, and `ingest-ray verify --repair`",
        )


def check_logged(session: Session, server: LogServer, spec: UnitSpec) -> None:
    """Raises `ConfigError` where the server leaves the table, or what it replicates, out of its log."""
    status, schema = read_status(session), str(spec.dataset.facts["schema"])
    only, without = (status.get(name, "") for name in ("binlog_do_db", "binlog_ignore_db"))
    if (only and schema not in only.split(",")) or schema in without.split(","):
        name = "binlog_do_db" if only else "binlog_ignore_db"
        raise ConfigError(f"{spec.unit_id}: the server leaves database '{schema}' out of its log", hint=name)
    updates = next((server.settings[name] for name in REPLICA_UPDATES if name in server.settings), "ON")
    if updates.upper() in ("OFF", "0") and read_row_origin(session).has_other_writers:
        raise ConfigError(
            f"{spec.unit_id}: the server is a replica, and what it replicates is not in its log",
            hint="log_slave_updates (MySQL: log_replica_updates), then a restart; or name the primary as 'host'",
        )


def refuse_binary_json(server: LogServer, spec: UnitSpec) -> None:
    """MySQL's JSON is in the log in a form of its own; MariaDB's is text."""
    kinds = spec.dataset.facts.get("types")
    names = schema_of(spec.dataset, spec.policy.columns or None).names
    found = [name for name in names if isinstance(kinds, dict) and kinds.get(name) == "json"]
    if found and not server.is_mariadb:
        raise ModeUnsupported(
            f"{spec.unit_id}: column '{found[0]}': JSON of MySQL is not read from the log",
            hint="policy exclude_columns",
        )


def read_status(session: Session) -> dict[str, str]:
    """Where the log ends. Raises `SourceDenied` with the grant that is missing."""
    last: IngestError | None = None
    for statement in reversed(_STATUS):
        try:
            rows = named_rows(session, statement)
        except SourceDenied as error:
            raise SourceDenied(error.message, hint=GRANT) from None
        except ConfigError as error:  # another version has another statement
            last = error
            continue
        if rows:
            return {name.lower(): str(value) for name, value in rows[0].items()}
        raise ConfigError("the server writes no binary log")
    raise last or SourceError("the end of the log is not shown")


def read_files(session: Session) -> list[LogFile]:
    try:
        rows = named_rows(session, "SHOW BINARY LOGS")
    except SourceDenied as error:
        raise SourceDenied(error.message, hint=GRANT) from None
    return [LogFile(str(row["Log_name"]), int(str(row["File_size"]))) for row in rows]


def read_writer(endpoint: Endpoint, file: str) -> str:
    """Which server made a file of the log, and when. Raises `LogGone` where there is none of this name."""
    with open_stream(endpoint) as stream:
        stream.begin(LogPosition(file, FIRST_OFFSET, ""))
        for event in stream.events():
            if event.kind == FORMAT:
                break
        return stream.writer


def read_gtids(session: Session, server: LogServer, file: str, offset: int, status: dict[str, str]) -> str:
    if not server.is_mariadb:
        return str(GtidState.parse(status.get("executed_gtid_set", "")))
    found = session.rows(f"SELECT binlog_gtid_pos({text_literal(file)}, {int(offset)})")[0][0]
    return str(GtidState.parse(str(found or "")))


def read_log_end(session: Session, server: LogServer) -> LogPosition:
    """Who wrote the file is not known, nor are MariaDB's GTIDs: it looks for them in the whole file."""
    status = read_status(session)
    gtids = "" if server.is_mariadb else read_gtids(session, server, "", 0, status)
    return LogPosition(status["file"], int(status["position"]), "", gtids)


def read_visible_end(endpoint: Endpoint, session: Session, server: LogServer) -> LogPosition:
    """A position below which every transaction is visible to each snapshot that is taken after this.

    A transaction is in the log before others see its rows. MariaDB tells the position that belongs to a snapshot, without a lock
    (https://mariadb.com/kb/en/start-transaction/); MySQL only stops writing for a moment, which needs RELOAD.
    """
    if server.is_mariadb:
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        file, offset = read_snapshot_position(session)
        session.run("COMMIT")
        gtids = read_gtids(session, server, file, offset, {})
    else:
        status = read_status_under_lock(session)
        file, offset = status["file"], int(status["position"])
        gtids = read_gtids(session, server, file, offset, status)
    return LogPosition(file, offset, read_writer(endpoint, file), gtids)


def read_snapshot_position(session: Session) -> tuple[str, int]:
    """File and offset that belong to the session's consistent snapshot: what is below them is in it, and nothing else. MariaDB only."""
    rows = session.rows("SHOW STATUS WHERE Variable_name IN ('Binlog_snapshot_file', 'Binlog_snapshot_position')")
    found = {str(name).lower(): str(value) for name, value in rows}
    return found["binlog_snapshot_file"], int(found["binlog_snapshot_position"])


def read_status_under_lock(session: Session) -> dict[str, str]:
    try:
        session.run("FLUSH TABLES WITH READ LOCK")
    except SourceDenied as error:
        raise SourceDenied(error.message, hint=RELOAD_GRANT) from None  # fmt: skip
    try:
        return read_status(session)
    finally:
        session.run("UNLOCK TABLES")


def log_gone(spec: UnitSpec, begun: LogPosition, reason: str) -> LogGone:
    return LogGone(f"{spec.unit_id}: the log is gone from {begun} on: {reason}", hint=RELOAD_HINT)


def bytes_between(files: Sequence[LogFile], lower: LogPosition, upper: LogPosition) -> int:
    """Of the log; where the lower position is of another server, 0."""
    if lower.file == upper.file:
        return max(0, upper.offset - lower.offset)
    names = [file.name for file in files]
    if lower.file not in names or upper.file not in names:
        return 0
    between = files[names.index(lower.file) : names.index(upper.file)]
    return max(0, sum(file.size_bytes for file in between) - lower.offset + upper.offset)
