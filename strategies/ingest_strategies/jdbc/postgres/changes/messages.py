"""Decodes the messages of `pgoutput`, protocol version 1, whose values are texts.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from collections.abc import Iterable, Iterator
from struct import Struct

from ingest_ray.sdk.errors import SourceError
from ingest_strategies.jdbc.changes.change import KEPT, Change, Relation, Value

EPOCH_US = 946_684_800_000_000  # 2000-01-01, in microseconds since 1970


_BEGIN = Struct(">QqI")
_RELATION_END = Struct(">cH")
_COUNT = Struct(">H")
_LENGTH = Struct(">I")


def decode_changes(messages: Iterable[bytes]) -> Iterator[Change]:
    """Yields the changes of all tables, transaction by transaction, in the order of commits."""
    relations: dict[int, Relation] = {}
    lsn = committed_us = seq = xid = 0
    for data in messages:
        kind = data[0:1]
        if kind == b"B":
            lsn, at, xid = _BEGIN.unpack_from(data, 1)
            committed_us, seq = at + EPOCH_US, 0
        elif kind == b"R":
            relation = decode_relation(data)
            relations[relation.oid] = relation
        elif kind in b"IUD":
            relation = relations[_LENGTH.unpack_from(data, 1)[0]]
            yield _row_change(kind, data, relation, lsn, seq, committed_us, xid)
            seq += 1
        elif kind == b"T":
            for relation in _truncated(data, relations):
                yield Change("truncate", lsn, seq, committed_us, relation, None, None, xid=xid)
                seq += 1
        elif kind not in b"COYM":
            raise SourceError(f"the log has a message of an unknown kind: {kind!r}")


def _row_change(
    kind: bytes, data: bytes, relation: Relation, lsn: int, seq: int, committed_us: int, xid: int
) -> Change:
    if kind == b"I":
        return Change("insert", lsn, seq, committed_us, relation, None, decode_values(data, 6)[0], xid=xid)
    mark, old, at = data[5:6], None, 5
    if mark in b"KO":
        old, at = decode_values(data, 6)
    is_whole = mark == b"O"
    if kind == b"D":
        return Change("delete", lsn, seq, committed_us, relation, old, None, is_whole, xid)
    return Change("update", lsn, seq, committed_us, relation, old, decode_values(data, at + 1)[0], is_whole, xid)


def decode_values(data: bytes, at: int) -> tuple[list[Value], int]:
    """The values of one row, and where the next part begins."""
    values: list[Value] = []
    (count,) = _COUNT.unpack_from(data, at)
    at += 2
    for _ in range(count):
        mark = data[at]
        at += 1
        if mark == 116:  # t: a text
            (length,) = _LENGTH.unpack_from(data, at)
            at += 4
            values.append(data[at : at + length])
            at += length
        else:  # n: NULL; u: unchanged
            values.append(None if mark == 110 else KEPT)
    return values, at


def decode_relation(data: bytes) -> Relation:
    (oid,) = _LENGTH.unpack_from(data, 1)
    schema, at = _text(data, 5)
    table, at = _text(data, at)
    identity, count = _RELATION_END.unpack_from(data, at)
    at += 3
    columns, key = [], set()
    for _ in range(count):
        is_key = data[at] & 1
        name, at = _text(data, at + 1)
        at += 8  # type and modifier
        columns.append(name)
        if is_key:
            key.add(name)
    return Relation(oid, schema or "pg_catalog", table, identity.decode(), tuple(columns), frozenset(key))


def _truncated(data: bytes, relations: dict[int, Relation]) -> list[Relation]:
    (count,) = _LENGTH.unpack_from(data, 1)
    return [relations[_LENGTH.unpack_from(data, 6 + 4 * index)[0]] for index in range(count)]


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1
