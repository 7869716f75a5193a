"""What the log says of a table in front of its rows: the columns' types, and, with `binlog_row_metadata = FULL`, their names.

https://mariadb.com/kb/en/table_map_event/, https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Table__map__event.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ingest_strategies.jdbc.mysql.changes import row_values as types

SIGNEDNESS, DEFAULT_CHARSET, COLUMN_CHARSET, NAMES, SET_VALUES, ENUM_VALUES = 1, 2, 3, 4, 5, 6
ENUM_DEFAULT_CHARSET, ENUM_COLUMN_CHARSET = 10, 11
_NO_META = frozenset({*types._INT_BYTES, types.DATE, types.NEWDATE, types.YEAR, types.TIMESTAMP_OLD, types.TIME_OLD,
                      types.DATETIME_OLD, types.NULL_TYPE, types.DECIMAL_OLD})  # fmt: skip
_TWO_BYTES = frozenset({types.VARCHAR, types.VARCHAR_COMPRESSED, types.BIT, types.NEWDECIMAL, types.STRING, types.VAR_STRING,
                        types.ENUM, types.SET})  # fmt: skip
_NUMBERS = frozenset({*types._INT_BYTES, types.NEWDECIMAL, types.FLOAT, types.DOUBLE, types.YEAR})
_TEXTS = frozenset(
    {types.VARCHAR, types.VARCHAR_COMPRESSED, types.STRING, types.VAR_STRING, types.BLOB, types.BLOB_COMPRESSED}
)


@dataclass(frozen=True)
class MappedColumn:
    """`kind`: the type's number; `meta`: its two bytes; `collation`: its number where the log has it."""

    kind: int
    meta: tuple[int, int]
    name: str | None = None
    is_unsigned: bool | None = None
    collation: int | None = None
    values: tuple[bytes, ...] | None = None


@dataclass(frozen=True)
class TableMap:
    table_id: int
    schema: str
    table: str
    columns: tuple[MappedColumn, ...] = field(default=())

    @property
    def has_names(self) -> bool:
        return all(column.name is not None for column in self.columns)


def packed_int(data: bytes, at: int) -> tuple[int, int]:
    """https://mariadb.com/kb/en/protocol-data-types/#length-encoded-integers"""
    first = data[at]
    if first < 0xFB:
        return first, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def table_id_of(body: bytes) -> int:
    return int.from_bytes(body[:6], "little")


def table_name_of(body: bytes) -> tuple[bytes, bytes, int]:
    """Schema, table, and where the columns begin."""
    end = 9 + body[8]
    second = end + 2 + body[end + 1]
    return body[9:end], body[end + 2 : second], second + 1


def decode_table_map(body: bytes) -> TableMap:
    schema, table, at = table_name_of(body)
    count, at = packed_int(body, at)
    kinds, at = body[at : at + count], at + count
    size, at = packed_int(body, at)
    columns = list(_columns(kinds, body[at : at + size]))
    at += size + (count + 7) // 8  # which columns may be NULL
    extra = dict(_extra_fields(body, at))
    return TableMap(table_id_of(body), schema.decode(), table.decode(), tuple(_with_extra(columns, extra)))


def _columns(kinds: bytes, meta: bytes) -> Iterator[MappedColumn]:
    at = 0
    for kind in kinds:
        size = 2 if kind in _TWO_BYTES else 0 if kind in _NO_META else 1
        first, second = (*meta[at : at + size], 0, 0)[:2]
        at += size
        if kind == types.STRING and first in (types.ENUM, types.SET):
            kind = first
        elif kind == types.STRING:  # bits of the length are in the type
            second |= (first & 0x30 ^ 0x30) << 4
        yield MappedColumn(kind, (first, second))


def _extra_fields(body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at < len(body):
        kind = body[at]
        size, at = packed_int(body, at + 1)
        yield kind, body[at : at + size]
        at += size


def _with_extra(columns: list[MappedColumn], extra: Mapping[int, bytes]) -> Iterator[MappedColumn]:
    names = iter(_texts(extra[NAMES])) if NAMES in extra else None
    signs = _bits(extra[SIGNEDNESS]) if SIGNEDNESS in extra else None
    numbers = [index for index, column in enumerate(columns) if column.kind in _NUMBERS]
    unsigned = dict(zip(numbers, signs, strict=False)) if signs is not None else {}
    texts = [index for index, column in enumerate(columns) if column.kind in _TEXTS]
    lists = [index for index, column in enumerate(columns) if column.kind in (types.ENUM, types.SET)]
    collations = _collations(texts, extra.get(DEFAULT_CHARSET), extra.get(COLUMN_CHARSET))
    collations |= _collations(lists, extra.get(ENUM_DEFAULT_CHARSET), extra.get(ENUM_COLUMN_CHARSET))
    enums, sets = iter(_lists(extra.get(ENUM_VALUES, b""))), iter(_lists(extra.get(SET_VALUES, b"")))
    for index, column in enumerate(columns):
        source = enums if column.kind == types.ENUM else sets if column.kind == types.SET else iter(())
        yield MappedColumn(
            column.kind,
            column.meta,
            next(names).decode() if names is not None else None,
            unsigned.get(index),
            collations.get(index),
            next(source, None),
        )


def _bits(data: bytes) -> list[bool]:
    return [bool(byte >> 7 - bit & 1) for byte in data for bit in range(8)]


def _ints(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        number, at = packed_int(data, at)
        found.append(number)
    return found


def _collations(at: list[int], default: bytes | None, each: bytes | None) -> dict[int, int]:
    """The collation of each column of text, which are at these places: one for all with exceptions, or one for each."""
    if each is not None:
        return dict(zip(at, _ints(each), strict=False))
    if default is None:
        return {}
    first, *pairs = _ints(default)
    exceptions = dict(zip(pairs[::2], pairs[1::2], strict=True))
    return {column: exceptions.get(index, first) for index, column in enumerate(at)}


def _texts(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        size, at = packed_int(data, at)
        found.append(data[at : at + size])
        at += size
    return found


def _lists(data: bytes) -> Iterator[tuple[bytes, ...]]:
    at = 0
    while at < len(data):
        count, at = packed_int(data, at)
        names = []
        for _ in range(count):
            size, at = packed_int(data, at)
            names.append(data[at : at + size])
            at += size
        yield tuple(names)
