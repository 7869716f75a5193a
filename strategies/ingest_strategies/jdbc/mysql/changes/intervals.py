"""The transactions between two positions: on the server that wrote them by file and offset, on another one by their GTIDs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingest_ray.sdk.errors import LogGone, SourceUnavailable
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.mysql.catalog import text_literal
from ingest_strategies.jdbc.mysql.changes.event_stream import (
    FIRST_OFFSET,
    FORMAT,
    RELOAD_HINT,
    Event,
    EventStream,
    open_stream,
)
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.server import (
    TRANSACTIONAL,
    LogFile,
    LogServer,
    log_gone,
    read_files,
    read_log_end,
    read_server,
)
from ingest_strategies.jdbc.mysql.changes.statements import TargetTable
from ingest_strategies.jdbc.mysql.changes.transactions import Item, Transaction, TransactionReader

_ALIASES = (
    "SELECT table_schema, table_name FROM information_schema.views WHERE view_definition LIKE {like}"
    " UNION SELECT event_object_schema, event_object_table FROM information_schema.triggers WHERE action_statement LIKE {like}"
)


@dataclass(frozen=True)
class LogTable:
    """A unit's table on one server, and where that server's log ends now."""

    spec: UnitSpec
    server: LogServer
    target: TargetTable
    end: LogPosition
    files: tuple[LogFile, ...]


@dataclass(frozen=True)
class Passed:
    """A transaction, and the position behind it. `log_bytes`: of the log since the interval's beginning."""

    transaction: Transaction
    position: LogPosition
    log_bytes: int


def read_log_table(session: Session, spec: UnitSpec) -> LogTable:
    server = read_server(session)
    facts = spec.dataset.facts
    table = str(facts["table"])
    like = text_literal("%" + table.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
    aliases = frozenset((str(of), str(name)) for of, name in session.rows(_ALIASES.format(like=like)))
    target = TargetTable(str(facts["schema"]), table, server.folds_names, aliases)
    end = read_log_end(spec.endpoint, session, server)
    return LogTable(spec, server, target, end, tuple(read_files(session)))


def passed_between(
    table: LogTable, lower: LogPosition, upper: LogPosition, is_stopping: Callable[[], bool] = lambda: False
) -> Iterator[Passed]:
    """Every transaction of the interval, in the order of the log; the same ones each time.

    Raises:
        LogGone: the server does not have them all.
        SourceUnavailable: its log does not reach the upper position yet.
    """
    if lower == upper:
        return
    ids = {position.server_id for position in (lower, upper)}
    if ids != {table.server.server_id}:
        yield from _by_gtids(table, lower, upper, is_stopping)
        return
    begun = False
    try:
        for passed in _by_offsets(table, lower, upper, is_stopping):
            begun = True
            yield passed
    except MissingFile:
        if lower.file_number > table.end.file_number:  # its GTIDs may have been given to other transactions
            raise log_gone(table.spec, lower, f"the server began a new log, which is at {table.end}") from None
        if begun or not lower.gtids:
            raise
        yield from _by_gtids(table, lower, upper, is_stopping)


class MissingFile(LogGone):
    """The server does not have a file any more; by their GTIDs, all transactions may be there."""


def _by_offsets(
    table: LogTable, lower: LogPosition, upper: LogPosition, is_stopping: Callable[[], bool]
) -> Iterator[Passed]:
    state, read_bytes, is_first = lower.state, 0, True
    with open_stream(table.spec.endpoint) as stream:
        stream.begin(lower, is_mariadb=table.server.is_mariadb)

        def events() -> Iterator[Event]:
            nonlocal read_bytes, is_first
            for event in _translated(table, lower, stream):
                if is_stopping():
                    raise SourceUnavailable(f"{table.spec.unit_id}: reading was stopped")
                if event.kind == FORMAT and is_first:
                    is_first = False
                    if stream.writer != lower.writer:
                        raise log_gone(
                            table.spec, lower, "the server has another file of that name: it began a new log"
                        )
                read_bytes += len(event.body)
                if _order(event.file, event.offset) > _order(upper.file, upper.offset):
                    raise log_gone(table.spec, lower, f"no transaction ends at {upper}")
                yield event
                if event.offset == upper.offset and event.file == upper.file:
                    return
            raise SourceUnavailable(f"{table.spec.unit_id}: the log does not reach {upper} yet")

        for transaction in _reader(table).read(events()):
            if transaction.gtid is not None:
                state.add(transaction.gtid)
            at = LogPosition(transaction.file, transaction.offset, stream.writer, str(state))
            yield Passed(transaction, at, read_bytes)


def _translated(table: LogTable, lower: LogPosition, stream: EventStream) -> Iterator[Event]:
    """The stream's events; where it lacks the first file, `MissingFile`."""
    try:
        yield from stream.events()
    except LogGone as error:
        is_file = "find first log file" in error.message
        kind = MissingFile if is_file else LogGone
        raise kind(f"{table.spec.unit_id}: the log is gone from {lower} on: {error.message}", hint=error.hint) from None


def _order(file: str, offset: int) -> tuple[int, int]:
    return LogPosition(file, offset, "").file_number, offset


def _by_gtids(
    table: LogTable, lower: LogPosition, upper: LogPosition, is_stopping: Callable[[], bool]
) -> Iterator[Passed]:
    below, until, read_bytes = lower.state, upper.state, 0
    if not below or not until:
        raise log_gone(table.spec, lower, "another server answers, and the position has no GTIDs")
    if not table.end.state.covers(below):
        raise log_gone(table.spec, lower, f"the server has the transactions up to {table.end.gtids or 'none'} only")
    if below.covers(until):
        return
    with open_stream(table.spec.endpoint) as stream:
        stream.begin(lower, by_gtids=True, is_mariadb=table.server.is_mariadb)

        def events() -> Iterator[Event]:
            nonlocal read_bytes
            for event in _translated(table, lower, stream):
                if is_stopping():
                    raise SourceUnavailable(f"{table.spec.unit_id}: reading was stopped")
                read_bytes += len(event.body)
                yield event

        for transaction in _reader(table).read(events()):
            gtid = transaction.gtid
            if gtid is None or below.has(gtid) or not until.has(gtid):
                continue
            below.add(gtid)
            at = LogPosition(transaction.file, transaction.offset, stream.writer, str(below))
            yield Passed(transaction, at, read_bytes)
            if below.covers(until):
                return
    raise log_gone(table.spec, lower, f"the server has no transactions up to {upper.gtids}")


def _reader(table: LogTable) -> TransactionReader:
    engine = str(table.spec.dataset.facts.get("engine"))
    reader = TransactionReader(table.target, table.spec.unit_id, engine in TRANSACTIONAL)
    reader.find_prepared = lambda name, event: find_prepared(table, name, event)
    return reader


def find_prepared(table: LogTable, name: str, committed: Event) -> tuple[Item, ...]:
    """The rows of a transaction of XA that was prepared before the interval: looked for backwards, a file of the log at a time.

    Raises:
        LogGone: no file of the log has them.
    """
    names = [file.name for file in table.files]
    earlier = names[: names.index(committed.file) + 1] if committed.file in names else []
    for file in reversed(earlier):
        reader = TransactionReader(table.target, table.spec.unit_id, refuses=False)
        reader.find_prepared = lambda name, event: ()
        with open_stream(table.spec.endpoint) as stream:
            stream.begin(LogPosition(file, FIRST_OFFSET, ""), is_mariadb=table.server.is_mariadb)
            for _ in reader.read(_before(stream, file, committed)):
                pass
        if name in reader.prepared:
            return reader.prepared[name]
    raise LogGone(
        f"{table.spec.unit_id}: the log is gone: transaction '{name}' of XA is committed at {committed.file}:{committed.offset}, and no"
        " file of the log has its rows",
        hint=RELOAD_HINT,
    )


def _before(stream: EventStream, file: str, committed: Event) -> Iterator[Event]:
    for event in stream.events():
        if event.file != file or (file == committed.file and event.offset >= committed.offset):
            return
        yield event
