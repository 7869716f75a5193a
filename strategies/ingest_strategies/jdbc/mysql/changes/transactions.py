"""The transactions of a log, whole and in the order of their commits, with what they change in one table.

The rows of a transaction are held as the log has them until its end is read: a part may be taken back (ROLLBACK TO), and a transaction
that was prepared (XA) may be committed much later, or never.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pyarrow as pa

from ingest_ray.sdk.errors import LogGone, SourceError
from ingest_strategies.jdbc.mysql.changes.event_kinds import (
    EXECUTE_LOAD,
    GTIDS,
    INCIDENT,
    MARIADB_GTID,
    MARIADB_QUERY_COMPRESSED,
    MYSQL_ANONYMOUS,
    MYSQL_TAGGED_GTID,
    PARTIAL_UPDATE,
    PAYLOAD,
    QUERY,
    ROWS,
    STATEMENTS,
    TABLE_MAP,
    XA_PREPARE,
    XID,
    RowKind,
)
from ingest_strategies.jdbc.mysql.changes.event_stream import HEADER_BYTES, RELOAD_HINT, Event, require_known
from ingest_strategies.jdbc.mysql.changes.gtids import Gtid
from ingest_strategies.jdbc.mysql.changes.statements import Does, Effect, TargetTable, effect_of
from ingest_strategies.jdbc.mysql.changes.table_map import packed_int, table_id_of, table_name_of

STANDALONE, PREPARED = 1, 64
ZSTD, UNCOMPRESSED = 0, 255  # https://dev.mysql.com/doc/refman/8.4/en/binary-log-transaction-compression.html


class RowsEvent(NamedTuple):
    """Rows of the table, with the last description of it in front of them: both as the log has them."""

    kind: RowKind
    version: int
    table_map: bytes
    body: bytes


Truncation = Literal["truncate"]
Item = RowsEvent | Truncation


@dataclass(frozen=True)
class Transaction:
    """`file` and `offset`: where it ends. `is_altered`: a statement has changed the table's definition."""

    file: str
    offset: int
    at_s: int
    gtid: Gtid | None
    items: tuple[Item, ...]
    is_altered: bool = False


@dataclass
class _Group:
    gtid: Gtid | None = None
    is_open: bool = False
    prepares: bool = False
    items: list[Item] = field(default_factory=list)
    savepoints: dict[str, int] = field(default_factory=dict)
    is_altered: bool = False


@dataclass
class TransactionReader:
    """`is_transactional`: a rollback in the log takes the table's rows back. `what`: the table, for messages."""

    target: TargetTable
    what: str
    is_transactional: bool = True
    refuses: bool = True
    """Raises for what the log does not have; else leaves it out."""
    prepared: dict[str, tuple[Item, ...]] = field(default_factory=dict)
    """The rows of transactions that were prepared, by their names, until they are committed."""

    find_prepared: Callable[[str, Event], tuple[Item, ...]] = lambda name, event: ()
    """Finds them where they were prepared before the first event."""

    def __post_init__(self) -> None:
        self._group = _Group()
        self._maps: dict[int, bytes] = {}

    def read(self, events: Iterable[Event]) -> Iterator[Transaction]:
        """Every transaction, also those without a change of the table."""
        for event in events:
            for one in unpacked(event):
                ended = self.apply(one)
                if ended is not None:
                    yield ended

    def apply(self, event: Event) -> Transaction | None:
        """The transaction that ends with this event; it is not a compressed one."""
        kind = event.kind
        if kind == TABLE_MAP:
            self._note_map(event.body)
        elif kind in ROWS:
            self._note_rows(event)
        elif kind in STATEMENTS:
            return self._note_statement(event)
        elif kind == XID:
            return self._end(event)
        elif kind == MYSQL_TAGGED_GTID:
            self._refuse(event)
        elif kind in GTIDS:
            self._begin(event)
        elif kind == XA_PREPARE:
            return self._note_prepared(event)
        elif kind == INCIDENT:
            raise LogGone(
                f"{self.what}: the log is gone: the server notes lost events at {_position_text(event)}",
                hint=RELOAD_HINT,
            )
        elif kind == PARTIAL_UPDATE:
            self._refuse(event)
        return None

    def _refuse(self, event: Event) -> None:
        if event.kind == MYSQL_TAGGED_GTID:
            raise SourceError(
                f"{self.what}: the log has GTIDs with tags (at {_position_text(event)}), which are not read",
                hint="gtid_next = AUTOMATIC without a tag in every session; then `ingest-ray reset` the unit, and run",
            )
        if table_id_of(event.body) in self._maps:
            raise SourceError(
                f"{self.what}: the log has parts of JSON values only (at {_position_text(event)})",
                hint="SET GLOBAL binlog_row_value_options = ''; then reset the unit",
            )

    def _begin(self, event: Event) -> None:
        gtid = gtid_of(event)
        flags = event.body[12] if event.kind == MARIADB_GTID else STANDALONE
        self._group = _Group(gtid, is_open=not flags & STANDALONE, prepares=bool(flags & PREPARED))
        self._maps.clear()

    def _note_map(self, body: bytes) -> None:
        schema, table, _ = table_name_of(body)
        number = table_id_of(body)
        if self.target.is_table(schema.decode(), table.decode()):
            self._maps[number] = body
        else:
            self._maps.pop(number, None)

    def _note_rows(self, event: Event) -> None:
        table_map = self._maps.get(table_id_of(event.body))
        if table_map is None:
            return
        kind, version, is_compressed = ROWS[event.kind]
        body = with_inflated_rows(event.body, kind, version) if is_compressed else event.body
        self._group.items.append(RowsEvent(kind, version, table_map, body))

    def _note_statement(self, event: Event) -> Transaction | None:
        schema, text = statement_of(event)
        effect = effect_of(text, schema, self.target)
        group = self._group
        match effect.does:
            case Does.BEGIN:
                group.is_open = True
                return None
            case Does.COMMIT:
                return self._end(event)
            case Does.ROLLBACK:
                if self.is_transactional:
                    group.items.clear()
                return self._end(event)
            case Does.SAVEPOINT:
                group.savepoints[effect.name.casefold()] = len(group.items)
            case Does.ROLLBACK_TO:
                if self.is_transactional:
                    del group.items[group.savepoints.get(effect.name.casefold(), 0) :]
            case Does.XA_COMMIT | Does.XA_ROLLBACK:
                return self._end_prepared(event, effect)
            case _:
                self._note_definition(event, effect, text)
        group.is_open = group.is_open or effect.begins
        return None if group.is_open else self._end(event)

    def _note_definition(self, event: Event, effect: Effect, text: str) -> None:
        shown = " ".join(text.split())[:120]
        match effect.does:
            case Does.REPLACE | Does.WRITE if not self.refuses:
                pass
            case Does.TRUNCATE:
                self._group.items.append("truncate")
            case Does.ALTER:
                self._group.is_altered = True
            case Does.REPLACE:
                raise LogGone(
                    f"{self.what}: the log is gone from {_position_text(event)} on: it does not have the rows that this statement brings or"
                    f" takes: {shown}",
                    hint=RELOAD_HINT,
                )
            case Does.WRITE:
                raise LogGone(
                    f"{self.what}: the log is gone from {_position_text(event)} on: it has a statement, and not the rows that it changed: {shown}",
                    hint="sessions must not set binlog_format to STATEMENT or MIXED; " + RELOAD_HINT,
                )

    def _note_prepared(self, event: Event) -> Transaction | None:
        name, is_one_phase = prepared_name(event.body)
        if is_one_phase:
            return self._end(event)
        self.prepared[name] = tuple(self._group.items)
        self._group.items.clear()
        return self._end(event)

    def _end_prepared(self, event: Event, effect: Effect) -> Transaction:
        items = self.prepared.pop(effect.name, None)
        if effect.does is Does.XA_COMMIT:
            self._group.items.extend(self.find_prepared(effect.name, event) if items is None else items)
        return self._end(event)

    def _end(self, event: Event) -> Transaction:
        group, self._group = self._group, _Group()
        self._maps.clear()
        return Transaction(event.file, event.offset, event.at_s, group.gtid, tuple(group.items), group.is_altered)


def _position_text(event: Event) -> str:
    return f"{event.file}:{event.offset}"


def gtid_of(event: Event) -> Gtid | None:
    """https://mariadb.com/kb/en/gtid_event/; of MySQL: flags, the uuid, the number."""
    body = event.body
    if event.kind == MARIADB_GTID:
        domain = int.from_bytes(body[8:12], "little")
        return Gtid(int.from_bytes(body[:8], "little"), domain, event.server_id)
    if event.kind == MYSQL_ANONYMOUS:
        return None
    raw = body[1:17].hex()
    name = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
    return Gtid(int.from_bytes(body[17:25], "little"), uuid=name)


STATEMENT_AT = {QUERY: 13, MARIADB_QUERY_COMPRESSED: 13, EXECUTE_LOAD: 26}  # where the status variables begin


def statement_of(event: Event) -> tuple[str, str]:
    """The default database and the text. https://mariadb.com/kb/en/query_event/"""
    body = event.body
    begin = STATEMENT_AT[event.kind] + int.from_bytes(body[11:13], "little")
    end = begin + body[8]
    text = body[end + 1 :]
    if event.kind == MARIADB_QUERY_COMPRESSED:
        text = inflated_part(text)
    return body[begin:end].decode(), text.decode(errors="replace")


def inflated_part(data: bytes) -> bytes:
    """A compressed part of an event of MariaDB: a byte with the method and how many bytes the length has, the length, and the rest.

    https://mariadb.com/kb/en/compressing-events-to-reduce-size-of-the-binary-log/
    """
    if data[0] >> 4 & 7:
        raise SourceError(f"an event of the log is compressed by method {data[0] >> 4 & 7}, which is not known")
    return zlib.decompress(data[1 + (data[0] & 7) :])


def rows_begin(body: bytes, kind: RowKind, version: int) -> tuple[int, int]:
    """How many columns there are, and where the rows begin."""
    at = 8 if version == 1 else 8 + int.from_bytes(body[8:10], "little")
    count, at = packed_int(body, at)
    return count, at + (2 if kind == "update" else 1) * ((count + 7) // 8)


def with_inflated_rows(body: bytes, kind: RowKind, version: int) -> bytes:
    _, at = rows_begin(body, kind, version)
    return body[:at] + inflated_part(body[at:])


def prepared_name(body: bytes) -> tuple[str, bool]:
    """Of an event that ends a prepared transaction: its name as `XA COMMIT` writes it, and whether it is committed with it."""
    first, second = (int.from_bytes(body[at : at + 4], "little") for at in (5, 9))
    return f"{body[13 : 13 + first].hex()}/{body[13 + first : 13 + first + second].hex()}", bool(body[0])


def unpacked(event: Event) -> Iterator[Event]:
    """The events of a compressed transaction of MySQL, which all end where it ends; any other event as it is."""
    if event.kind != PAYLOAD:
        yield event
        return
    fields, at = {}, 0
    while (kind := packed_int(event.body, at)[0]) != 0:
        size, at = packed_int(event.body, packed_int(event.body, at)[1])
        fields[kind] = event.body[at : at + size]
        at += size
    payload = event.body[at + 1 :]
    method = packed_int(fields.get(2, b"\x00"), 0)[0]
    if method == ZSTD:
        size = packed_int(fields[3], 0)[0]
        payload = pa.decompress(payload, size, codec="zstd", asbytes=True)
    elif method != UNCOMPRESSED:
        raise SourceError(f"a transaction of the log is compressed by method {method}, which is not known")
    at = 0
    while at < len(payload):
        size = int.from_bytes(payload[at + 9 : at + 13], "little")
        require_known(payload[at + 4], int.from_bytes(payload[at + 17 : at + 19], "little"), event.file, event.offset)
        body = payload[at + HEADER_BYTES : at + size]
        yield Event(payload[at + 4], event.at_s, event.server_id, event.file, event.offset, body)
        at += size
