"""The transactions of a table between two positions, from parts of the log that all units share; how far a round reads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from ingest_ray.sdk.errors import LogGone
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.mysql.catalog import text_literal
from ingest_strategies.jdbc.mysql.changes.event_stream import FIRST_OFFSET, RELOAD_HINT, Event, EventStream, open_stream
from ingest_strategies.jdbc.mysql.changes.log_part import LogPart
from ingest_strategies.jdbc.mysql.changes.log_parts import find_or_read
from ingest_strategies.jdbc.mysql.changes.part_reader import LogTable, MissingFile, read_part
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.server import (
    TRANSACTIONAL,
    LogServer,
    bytes_between,
    log_gone,
    read_files,
    read_gtids,
    read_log_end,
)
from ingest_strategies.jdbc.mysql.changes.statements import TargetTable
from ingest_strategies.jdbc.mysql.changes.transactions import Item, Transaction, TransactionReader

ROUND_SLICES = 2  # of `target_slice_bytes`: about how much of the log one round reads
Reads = Callable[[LogTable, bool], LogPart]
"""Reads a part from a table's server, by GTIDs or by file and offset."""
_ALIASES = (
    "SELECT table_schema, table_name FROM information_schema.views WHERE view_definition LIKE {like}"
    " UNION SELECT event_object_schema, event_object_table FROM information_schema.triggers WHERE action_statement LIKE {like}"
)


@dataclass(frozen=True)
class LogProbe:
    """What the log has from the watermark on. `upper`: how far this round reads."""

    lower: LogPosition
    upper: LogPosition
    has_changes: bool
    log_bytes: int


def read_log_table(session: Session, spec: UnitSpec, server: LogServer) -> LogTable:
    """Asks for what it does not always need later, so the session must stay open meanwhile."""
    facts = spec.dataset.facts
    table = str(facts["table"])

    @cache
    def find_aliases() -> frozenset[tuple[str, str]]:
        like = text_literal("%" + table.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
        return frozenset((str(of), str(name)) for of, name in session.rows(_ALIASES.format(like=like)))

    target = TargetTable(str(facts["schema"]), table, server.folds_names, find_aliases)
    end = read_log_end(session, server)

    def read_end_gtids() -> str:
        return end.gtids or read_gtids(session, server, end.file, end.offset, {})

    files = tuple(read_files(session))
    return LogTable(spec, server, target, end, files, ROUND_SLICES * spec.policy.target_slice_bytes, read_end_gtids)


def transactions_between(
    table: LogTable, lower: LogPosition, upper: LogPosition, is_stopping: Callable[[], bool] = lambda: False
) -> Iterator[Transaction]:
    """Those of the interval that concern the table, in the order of the log; the same ones each time.

    Raises:
        LogGone: the server does not have them all.
        SourceUnavailable: its log does not reach the upper position yet.
    """

    def events() -> Iterator[Event]:
        at = lower
        while at != upper:
            part = part_from(table, at, upper, is_stopping)
            yield from part.events(table.target, at, upper)
            at = upper if part.by_gtids else part.upper_from(at)
            if at.number >= upper.number:
                return

    yield from _reader(table).read(events())


def part_from(
    table: LogTable,
    at: LogPosition,
    upper: LogPosition | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> LogPart:
    """See `find_or_read`: by file and offset where the server wrote the position and has the file, else by GTIDs."""

    def reads(on: LogTable, by_gtids: bool) -> LogPart:
        return find_or_read(on, at, upper, by_gtids=by_gtids, is_stopping=is_stopping)

    return _by_offsets_or_gtids(table, at, upper or at, reads)


def _by_offsets_or_gtids(table: LogTable, at: LogPosition, upper: LogPosition, reads: Reads) -> LogPart:
    if {at.server_id, upper.server_id} != {table.server.server_id}:
        return reads(table.with_gtids, True)
    try:
        return reads(table, False)
    except MissingFile:
        if at.file_number > table.end.file_number:  # its GTIDs may have been given to other transactions
            raise log_gone(table.spec, at, f"the server began a new log, which is at {table.end}") from None
        if not at.gtids:
            raise
        return reads(table.with_gtids, True)


def look_ahead(table: LogTable, lower: LogPosition) -> LogProbe:
    """How far a round reads: to the end of the log, or to the end of a transaction behind `round_bytes`, with the parts that lie between.
    What has no change of the table is passed first."""
    _require_log_until(table, lower)
    at, passed_bytes, has_changes = lower, 0, False
    while not is_at_end(table, at) and not (has_changes and passed_bytes >= table.round_bytes):
        part = part_from(table, at)
        has_more = has_changes or any(one.items for one in transactions_of(part, table, at))
        if has_more and not has_changes and passed_bytes >= table.round_bytes:
            break
        after = part.upper_from(at)
        has_changes = has_more
        passed_bytes += part.log_bytes if part.by_gtids else bytes_between(table.files, at, after)
        at = after
    return LogProbe(lower, at, has_changes, passed_bytes)


def transactions_of(part: LogPart, table: LogTable, lower: LogPosition) -> Iterator[Transaction]:
    """Those of a part behind a position that concern the table."""
    return _reader(table).read(part.events(table.target, lower, part.upper))


def is_at_end(table: LogTable, at: LogPosition) -> bool:
    """Whether nothing is behind the position, or less than nothing: another unit may have read further since the end was looked at."""
    return _beyond(table, at) >= 0


def _require_log_until(table: LogTable, lower: LogPosition) -> None:
    if _beyond(table, lower) > 0:
        raise log_gone(table.spec, lower, f"the server began a new log, or lost the end of it: it ends at {table.end}")


def _beyond(table: LogTable, at: LogPosition) -> int:
    """How far a position is behind the end of the log; negative where it is below it, or not in this server's log."""
    end = table.end
    if at.server_id != table.server.server_id or at.file_number < end.file_number:
        return -1
    if at.file_number == end.file_number:
        return at.offset - end.offset if at.file == end.file else -1
    return 1


def first_behind_s(table: LogTable, lower: LogPosition) -> int | None:
    """When the first transaction behind the position was committed; None: there is none.

    Raises:
        LogGone: the server does not have the log from the position on.
    """
    _require_log_until(table, lower)
    if is_at_end(table, lower):
        return None
    part = _by_offsets_or_gtids(
        table, lower, lower, lambda on, by_gtids: read_part(on, lower, by_gtids=by_gtids, most_bytes=0)
    )
    return part.first_at_s


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
