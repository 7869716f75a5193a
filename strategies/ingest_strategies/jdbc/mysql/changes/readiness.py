"""What is missing at a server for run mode CHANGES, for `ingest-ray test`: nothing is changed."""

from collections.abc import Iterator

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Diagnostic, Endpoint
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.mysql.changes.server import (
    GRANT,
    RELOAD_GRANT,
    REPLICA_UPDATES,
    LogServer,
    check_server,
    read_log_end,
    read_server,
    read_writer,
)

SHORT_RETENTION_S = 86_400


def diagnose_log(session: Session, endpoint: Endpoint) -> Iterator[Diagnostic]:
    """One sentence where nothing is missing, and advice; else one for each thing that is, and how it is given."""
    server = read_server(session)
    missing = list(_missing(session, server, endpoint))
    if missing:
        yield from (_info(f"run_mode CHANGES: {message}", hint) for message, hint in missing)
        return
    yield _info("run_mode CHANGES is possible", None)
    yield from (_info(f"run_mode CHANGES: {message}", hint) for message, hint in _advice(server))


def _info(message: str, hint: str | None) -> Diagnostic:
    return Diagnostic(level="info", code="changes", message=message, hint=hint)


def _missing(session: Session, server: LogServer, endpoint: Endpoint) -> Iterator[tuple[str, str | None]]:
    try:
        check_server(server, endpoint.endpoint_id)
    except IngestError as error:
        yield error.message.removeprefix(f"{endpoint.endpoint_id}: "), error.hint
        return
    try:
        read_writer(endpoint, read_log_end(session, server).file)
    except IngestError as error:
        yield f"the user may not read the log ({error.message})", GRANT
    if not server.is_mariadb and not may_reload(session):
        yield "the user lacks RELOAD, which the first load needs for a moment", RELOAD_GRANT


def may_reload(session: Session) -> bool:
    granted = [str(row[0]).upper() for row in session.rows("SHOW GRANTS")]
    return any(word in text for text in granted for word in ("RELOAD", "ALL PRIVILEGES ON *.*", "FLUSH_TABLES"))


def _advice(server: LogServer) -> Iterator[tuple[str, str | None]]:
    if not server.has_names:
        yield (
            "the log does not name the columns: an ALTER TABLE behind rows that are not read yet needs a new load",
            "SET GLOBAL binlog_row_metadata = FULL",
        )
    kept_s = server.retention_s
    if kept_s is not None and kept_s < SHORT_RETENTION_S:
        yield (
            f"the server keeps its log for {kept_s} s: a unit that is not run for so long must be loaded again",
            "binlog_expire_logs_seconds",
        )
    if any(server.settings.get(name, "ON").upper() in ("OFF", "0") for name in REPLICA_UPDATES):
        yield (
            "if this server is a replica, what it replicates is not in its log",
            "log_slave_updates (MySQL: log_replica_updates), or name the primary as 'host'",
        )
