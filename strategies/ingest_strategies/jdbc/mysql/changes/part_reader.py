"""Reads one part of the binary log from the server: on the server that wrote the position by file and offset, on another one by GTIDs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ingest_ray.sdk.errors import LogGone, SourceError, SourceUnavailable
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.mysql.changes.event_kinds import FORMAT, GTIDS
from ingest_strategies.jdbc.mysql.changes.event_stream import Event, EventStream, open_stream
from ingest_strategies.jdbc.mysql.changes.log_part import LogDivision, LogPart
from ingest_strategies.jdbc.mysql.changes.positions import OFFSET_BITS, LogPosition
from ingest_strategies.jdbc.mysql.changes.server import LogFile, LogServer, log_gone, read_writer
from ingest_strategies.jdbc.mysql.changes.statements import TargetTable
from ingest_strategies.jdbc.mysql.changes.transactions import gtid_of
from ingest_strategies.jdbc.mysql.config import MysqlConfig

LARGEST_PART = 4  # of what a round reads: above it, which one large transaction makes, a part has one table only


@dataclass(frozen=True)
class LogTable:
    """A unit's table on one server, and where that server's log ends now; who wrote that file is not known. `round_bytes`: about how much
    of the log is read at once."""

    spec: UnitSpec
    server: LogServer
    target: TargetTable
    end: LogPosition
    files: tuple[LogFile, ...]
    round_bytes: int
    read_end_gtids: Callable[[], str]
    """The GTIDs below `end`, which MariaDB looks for in the file."""

    @property
    def with_gtids(self) -> "LogTable":
        return replace(self, end=replace(self.end, gtids=self.read_end_gtids()))


class MissingFile(LogGone):
    """The server does not have a file any more; by their GTIDs, all transactions may be there."""


def read_part(
    table: LogTable,
    lower: LogPosition,
    upper: LogPosition | None = None,
    *,
    by_gtids: bool = False,
    is_stopping: Callable[[], bool] = lambda: False,
    most_bytes: int | None = None,
) -> LogPart:
    """To `upper`; without one to the end of a transaction behind `most_bytes` (a round), or to the end of the log.

    Raises:
        LogGone: the server does not have it all.
        SourceUnavailable: its log does not reach the upper position yet, or reading was stopped.
    """
    part = LogPart(lower, by_gtids=by_gtids)
    division = LogDivision(part, table.target, table.spec.unit_id, _schemas(table), LARGEST_PART * table.round_bytes)
    most_bytes = table.round_bytes if most_bytes is None else most_bytes
    reading = ReadingByGtids(table, lower, upper) if by_gtids else ReadingByOffsets(table, lower, upper)
    if (at_once := reading.reached(None, "")) is not None:
        part.upper = at_once
        return part
    with open_stream(table.spec.endpoint) as stream:
        stream.begin(lower, by_gtids=by_gtids, is_mariadb=table.server.is_mariadb)
        for event in _translated(table, lower, stream):
            if is_stopping():
                raise SourceUnavailable(f"{table.spec.unit_id}: reading was stopped")
            part.note_file(event, stream)
            part.log_bytes += len(event.body)
            reading.check(event, stream)
            if event.kind in GTIDS:
                division.is_left_out = reading.leaves_out(event)
            has_ended = _note_ends(part, reading, division, event)
            reached = reading.reached(event, stream.writer)
            if reached is None and upper is None and has_ended and part.log_bytes >= most_bytes:
                reached = LogPosition(event.file, event.offset, stream.writer, str(reading.state))
            if reached is not None:
                part.upper = reached
                return part
    raise reading.unreached()


def _note_ends(
    part: LogPart, reading: "ReadingByOffsets | ReadingByGtids", division: LogDivision, event: Event
) -> bool:
    """Whether a transaction ended that is read."""
    has_ended = False
    for transaction in division.add(event):
        if division.is_left_out:
            continue
        has_ended = True
        if transaction.gtid is not None:
            reading.state.add(transaction.gtid)
            part.added.add(transaction.gtid)
        if part.first_at_s is None:
            part.first_at_s = transaction.at_s
    return has_ended


def _schemas(table: LogTable) -> frozenset[str]:
    """Those that units of the endpoint may be of, in lower case; empty: all."""
    config = parse_config(MysqlConfig, table.spec.endpoint)
    names = config.schemas or ((config.database,) if config.database else ())
    return frozenset(name.casefold() for name in names)


def _translated(table: LogTable, lower: LogPosition, stream: EventStream) -> Iterator[Event]:
    """The stream's events; where it lacks the first file, `MissingFile`."""
    try:
        yield from stream.events()
    except LogGone as error:
        is_file = "find first log file" in error.message
        kind = MissingFile if is_file else LogGone
        raise kind(f"{table.spec.unit_id}: the log is gone from {lower} on: {error.message}", hint=error.hint) from None


class ReadingByOffsets:
    """`state`: the GTIDs of all transactions below the position that is reached."""

    def __init__(self, table: LogTable, lower: LogPosition, upper: LogPosition | None) -> None:
        self._table, self._lower = table, lower
        self._goal = upper or table.end
        self.state = lower.state
        self._is_first = True
        self._file, self._most = "", 0

    def check(self, event: Event, stream: EventStream) -> None:
        """Raises `LogGone` where the log is another one."""
        if event.kind == FORMAT and self._is_first:
            self._is_first = False
            if stream.writer != self._lower.writer:
                raise log_gone(
                    self._table.spec, self._lower, "the server has another file of that name: it began a new log"
                )
        if event.file != self._file:
            self._file = event.file
            number = LogPosition(event.file, 0, "").file_number - self._goal.file_number
            self._most = self._goal.offset if number == 0 else -1 if number > 0 else 1 << OFFSET_BITS
        if event.offset > self._most:
            raise log_gone(self._table.spec, self._lower, f"no transaction ends at {self._goal}")

    def leaves_out(self, event: Event) -> bool:
        return False

    def reached(self, event: Event | None, writer: str) -> LogPosition | None:
        """The part's upper position, where the event is its last one. None as `event`: before the first."""
        if event is None or event.offset != self._goal.offset or event.file != self._goal.file:
            return None
        return LogPosition(event.file, event.offset, writer, str(self.state))

    def unreached(self) -> SourceError:
        return SourceUnavailable(f"{self._table.spec.unit_id}: the log does not reach {self._goal} yet")


class ReadingByGtids:
    """Of the transactions that another server has, those are read that the position has not."""

    def __init__(self, table: LogTable, lower: LogPosition, upper: LogPosition | None) -> None:
        self._table, self._lower, self._upper = table, lower, upper
        self.state, self._until = lower.state, (upper or table.end).state
        if not self.state or not self._until:
            raise log_gone(table.spec, lower, "another server answers, and the position has no GTIDs")
        if not table.end.state.covers(self.state):
            has = table.end.gtids or "none"
            raise log_gone(table.spec, lower, f"the server has the transactions up to {has} only")
        self._begun = set[int]()
        """MariaDB's domains of which a transaction was read."""

    def check(self, event: Event, stream: EventStream) -> None: ...

    def leaves_out(self, event: Event) -> bool:
        gtid = gtid_of(event)
        if gtid is None:
            return True
        is_known = self.state.has(gtid)
        if is_known and gtid.domain in self._begun:
            raise log_gone(
                self._table.spec,
                self._lower,
                f"another server answers, whose transactions of domain {gtid.domain} are not in the order of their numbers",
            )
        is_read = not is_known and self._until.has(gtid)
        if is_read and not gtid.uuid:
            self._begun.add(gtid.domain)
        return not is_read

    def reached(self, event: Event | None, writer: str) -> LogPosition | None:
        """See `ReadingByOffsets`."""
        if not self.state.covers(self._until):
            return None
        if self.state.differs_from(self._until):
            has = f"the server has other transactions ({self.state}) under the numbers of {self._until}"
            raise log_gone(self._table.spec, self._lower, has)
        if self._upper is not None:
            return self._upper
        end = self._table.end
        return LogPosition(end.file, end.offset, read_writer(self._table.spec.endpoint, end.file), str(self.state))

    def unreached(self) -> SourceError:
        return log_gone(self._table.spec, self._lower, f"the server has no transactions up to {self._until}")
