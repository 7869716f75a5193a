"""One change of a table, as a log has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NamedTuple


class Kept(Enum):
    KEPT = 0


KEPT: Final = Kept.KEPT
"""Stands for a value that the log does not repeat: it was not changed."""

Value = bytes | None | Literal[Kept.KEPT]
Values = Sequence[Value]


@dataclass(frozen=True)
class Relation:
    """A table as the log has it from here on. `key`: the columns that the log has of every old row."""

    oid: int
    schema: str
    table: str
    identity: str
    """PostgreSQL's `relreplident`: d default, n nothing, f full, i index."""
    columns: tuple[str, ...]
    key: frozenset[str]


class Change(NamedTuple):
    """`lsn`: where the log has the commit, as a number. `old`: the key before, or, where `is_whole_old`, the row; None where the key is
    the same."""

    op: Literal["insert", "update", "delete", "truncate"]
    lsn: int
    seq: int
    committed_us: int
    relation: Relation
    old: Values | None
    new: Values | None
    is_whole_old: bool = False
    xid: int = 0
    """The number of the transaction, where the log has one."""
