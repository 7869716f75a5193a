"""The events of the binary log, from a position to its end, over a connection of its own.

The connection asks as a client that is no replica, as mysqlbinlog does: with the server id 0, which ends nobody else's connection, and
without waiting for more at the end. https://mariadb.com/kb/en/com_binlog_dump/, https://mariadb.com/kb/en/2-binlog-event-header/
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple

import pymysql
from pymysql.protocol import MysqlPacket

from ingest_ray.sdk.errors import IngestError, LogGone, SourceError, SourceUnavailable
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.mysql.changes.event_kinds import (
    FORMAT,
    HEARTBEAT,
    HEARTBEAT_2,
    IGNORABLE,
    KNOWN,
    ROTATE,
)
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.error_codes import ERROR_CODES
from ingest_strategies.jdbc.mysql.session import connect
from ingest_strategies.jdbc.sessions.faults import without_secrets
from ingest_strategies.jdbc.sessions.reach import reach

DUMP, DUMP_GTID = 0x12, 0x1E
NON_BLOCKING = 1
FIRST_OFFSET = 4
LARGEST_START = 2**32 - 1  # the command has four bytes for it
ARTIFICIAL = 0x20
HEADER_BYTES, CHECKSUM_BYTES = 19, 4
CANNOT_SERVE = 1236  # ER_MASTER_FATAL_ERROR_READING_BINLOG
_HEADER = Struct("<IBIIIH")
_GONE = ("could not find", "purged", "not in the master's binlog", "not in the primary's", "impossible position", "too old",
         "missing", "does not exist")  # fmt: skip
RELOAD_HINT = "`ingest-ray reset` the unit, then run: it is loaded again, and goes on from there"


class Event(NamedTuple):
    """`body`: without header and checksum. `offset`: where the event ends in its file."""

    kind: int
    at_s: int
    server_id: int
    file: str
    offset: int
    body: bytes


@dataclass
class EventStream:
    """Of one connection; `begin` is called once."""

    connection: Any
    endpoint_id: str
    translate: Callable[[Exception], IngestError]
    writer: str = ""
    """Who made the file that is being read, and when; known from the first event on."""
    _has_checksum: bool = False

    def begin(self, start: LogPosition, *, by_gtids: bool = False, is_mariadb: bool = True) -> None:
        """Raises `LogGone` with the first event where the server does not have the position any more."""
        self._file, self._offset = start.file, start.offset
        offset = start.offset if start.offset <= LARGEST_START else FIRST_OFFSET
        statements = ["SET @master_binlog_checksum = @@global.binlog_checksum", "SET @master_heartbeat_period = 10000000000",
            "SET SESSION net_write_timeout = 3600",  # changes are read as fast as they are staged
        ]  # fmt: skip
        if is_mariadb:
            statements.append("SET @mariadb_slave_capability = 4")
        if by_gtids and is_mariadb:
            statements.append(f"SET @slave_connect_state = '{start.state}'")
            statements.append("SET @slave_gtid_strict_mode = 0")
        with self._translated():
            for statement in statements:
                self.connection.query(statement)
            if by_gtids and not is_mariadb:
                self.connection._execute_command(DUMP_GTID, dump_by_sets(start))
            else:
                file = b"" if by_gtids else start.file.encode()
                at = FIRST_OFFSET if by_gtids else offset
                self.connection._execute_command(DUMP, Struct("<IHI").pack(at, NON_BLOCKING, 0) + file)

    def events(self) -> Iterator[Event]:
        """Until the end of the log as it is when that is reached."""
        while True:
            with self._translated():
                packet = self.connection._read_packet(MysqlPacket)
            data = packet.get_all_data()
            if packet.is_eof_packet():
                return
            event = self._event(data)
            if event is not None:
                yield event

    def _event(self, data: bytes) -> Event | None:
        at_s, kind, server_id, size, end, flags = _HEADER.unpack_from(data, 1)
        if kind in (HEARTBEAT, HEARTBEAT_2):
            return None
        if size != len(data) - 1:
            raise SourceError(
                f"{self.endpoint_id}: an event of the binary log has {len(data) - 1} bytes, and says {size}"
            )
        stop = len(data)
        if kind == FORMAT:
            self._note_format(data)
            self.writer = f"{server_id}@{at_s}"
        if kind == ROTATE:  # one comes before the format is known
            self._has_checksum = has_right_checksum(data)
        if self._has_checksum:
            stop -= CHECKSUM_BYTES
            if not has_right_checksum(data):
                raise SourceError(
                    f"{self.endpoint_id}: an event of {self._file} near {self._offset} has a wrong checksum"
                )
        body = data[1 + HEADER_BYTES : stop]
        if end and not flags & ARTIFICIAL:
            self._offset = end + (self._offset - end + 2**31 >> 32 << 32)  # the header has 32 bits of it
        if kind == ROTATE:
            self._file, self._offset = body[8:].decode(), int.from_bytes(body[:8], "little")
        if kind not in KNOWN:
            require_known(kind, flags, self._file, self._offset)
        return Event(kind, at_s, server_id, self._file, self._offset, body)

    def _note_format(self, data: bytes) -> None:
        """The algorithm of the checksums is the last byte in front of this event's own, for servers since 2012."""
        self._has_checksum = data[-1 - CHECKSUM_BYTES] == 1

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (pymysql.MySQLError, OSError) as error:
            raise self.translate(error) from None


def dump_by_sets(start: LogPosition) -> bytes:
    """https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_binlog_dump_gtid.html"""
    sets = start.state.sets
    encoded = Struct("<Q").pack(len(sets))
    for name, spans in sorted(sets.items()):
        encoded += bytes.fromhex(name.replace("-", "")) + Struct("<Q").pack(len(spans))
        for first, last in spans:
            encoded += Struct("<QQ").pack(first, last + 1)
    head = Struct("<HII").pack(NON_BLOCKING | 0x04, 0, 0) + Struct("<QI").pack(FIRST_OFFSET, len(encoded))
    return head + encoded


def require_known(kind: int, flags: int, file: str, offset: int) -> None:
    """Raises `SourceError` for an event that may have rows, and of which nothing is known."""
    if kind not in KNOWN and not flags & IGNORABLE:
        raise SourceError(
            f"the log has an event of kind {kind} at {file}:{offset}, which is not known",
            hint="a newer version of ingest_ray, or run_mode: INCREMENTAL",
        )


def has_right_checksum(data: bytes) -> bool:
    stop = len(data) - CHECKSUM_BYTES
    return zlib.crc32(data[1:stop]) == int.from_bytes(data[stop:], "little")


@contextmanager
def open_stream(endpoint: Endpoint) -> Iterator[EventStream]:
    """A connection for one stream, the same way as every other: TLS, tunnel and login."""
    config = parse_config(MysqlConfig, endpoint)

    def translate(error: Exception) -> IngestError:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        said = without_secrets(str(error.args[1]) if len(error.args) > 1 else str(error), config.secrets)
        message = f"{endpoint.endpoint_id}: {said}"
        if number == CANNOT_SERVE:
            if any(sign in said.lower() for sign in _GONE):
                return LogGone(f"{endpoint.endpoint_id}: the log is gone: {said}", hint=RELOAD_HINT)
            return SourceError(f"{message} ({number})")
        if number == 0 or isinstance(error, OSError):
            return SourceUnavailable(message)
        return ERROR_CODES.error(number, f"{message} ({number})")

    with ExitStack() as stack:
        way = stack.enter_context(reach(endpoint.endpoint_id, config, config.host, config.port))
        try:
            connection = connect(config, way)
        except (pymysql.MySQLError, OSError) as error:
            raise translate(error) from None
        stack.callback(connection._force_close)
        yield EventStream(connection, endpoint.endpoint_id, translate)
