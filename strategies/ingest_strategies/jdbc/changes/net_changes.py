"""The net effect of a part of the log on a table: for each key the row that is left, or that none is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ingest_ray.sdk.changes import DELETE, INSERT, TRUNCATE, UPDATE
from ingest_ray.sdk.errors import SourceChanged
from ingest_strategies.jdbc.changes.change import KEPT, Change, Relation, Value, Values

Key = tuple[Value, ...]


@dataclass
class NetRow:
    """`values`: in the order of the columns that are read. `is_moved`: the row had another key before, so that values which the log does
    not repeat are in the sink under that key."""

    op: str
    values: list[Value]
    change: Change
    is_moved: bool = False

    @property
    def is_partial(self) -> bool:
        return KEPT in self.values


@dataclass
class ColumnOrder:
    """Finds the columns that are read in the rows of one version of a relation."""

    names: Sequence[str]
    key: Sequence[str]
    seen: set[str] = field(default_factory=set)
    """The columns of all versions of the relation that had rows."""
    _known: dict[int, tuple[Relation, list[int | None]]] = field(default_factory=dict)

    def arranged(self, relation: Relation, values: Values) -> list[Value]:
        """A column that this version of the relation does not have yet counts as unchanged."""
        known = self._known.get(relation.oid)
        if known is None or known[0] is not relation:
            at = {name: index for index, name in enumerate(relation.columns)}
            known = (relation, [at.get(name) for name in self.names])
            self._known[relation.oid] = known
            self.seen.update(relation.columns)
        return [KEPT if index is None else values[index] for index in known[1]]


class NetChanges:
    """Applies changes one after the other; holds one row for each key that they touch."""

    def __init__(self, order: ColumnOrder) -> None:
        self._order = order
        self._key_at = [list(order.names).index(name) for name in order.key]
        self._rows: dict[Key, NetRow] = {}
        self._truncate: Change | None = None

    def apply(self, change: Change) -> None:
        match change.op:
            case "truncate":
                self._rows.clear()
                self._truncate = change
            case "insert":
                self._put(change, INSERT, self._arranged(change, change.new), is_moved=False)
            case "delete":
                self._delete(change, self._old_key(change))
            case "update":
                self._update(change)

    def _update(self, change: Change) -> None:
        values = self._arranged(change, change.new)
        old = self._arranged(change, change.old) if change.old is not None else None
        if old is not None:
            self._fill(values, old if change.is_whole_old else [KEPT] * len(old))
            for at in self._key_at:
                if values[at] is KEPT:
                    values[at] = old[at]
        before = self._old_key(change) if old is not None else self._key(values)
        base = self._rows.get(before)
        is_moved = base.is_moved if base is not None else False
        op = UPDATE
        if base is not None and base.op != DELETE:
            self._fill(values, base.values)
            op = base.op
        if before != self._key(values):
            self._delete(change, before)
            op, is_moved = UPDATE, True
        self._put(change, op, values, is_moved=is_moved)

    def _put(self, change: Change, op: str, values: list[Value], *, is_moved: bool) -> None:
        self._rows[self._key(values)] = NetRow(op, values, change, is_moved)

    def _delete(self, change: Change, key: Key) -> None:
        values: list[Value] = [None] * len(self._order.names)
        for at, value in zip(self._key_at, key, strict=True):
            values[at] = value
        self._rows[key] = NetRow(DELETE, values, change)

    def _old_key(self, change: Change) -> Key:
        require_key(change, self._order.key)
        assert change.old is not None
        return self._key(self._arranged(change, change.old))

    def _arranged(self, change: Change, values: Values | None) -> list[Value]:
        assert values is not None
        return self._order.arranged(change.relation, values)

    def _key(self, values: Values) -> Key:
        return tuple(values[at] for at in self._key_at)

    @staticmethod
    def _fill(values: list[Value], known: Sequence[Value]) -> None:
        for at, value in enumerate(values):
            if value is KEPT:
                values[at] = known[at]

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> Iterator[NetRow]:
        """A truncation first, as a row without values: no older row is left."""
        if self._truncate is not None:
            yield NetRow(TRUNCATE, [None] * len(self._order.names), self._truncate)
        yield from self._rows.values()


def require_key(change: Change, key: Sequence[str]) -> None:
    """Raises `SourceChanged` where the log does not have the unit's key of a row that was updated or deleted."""
    relation = change.relation
    if change.is_whole_old or set(key) <= relation.key:
        return
    raise SourceChanged(
        f"{relation.schema}.{relation.table}: a change at {change.lsn:X} has only {', '.join(sorted(relation.key)) or 'no column'}"
        f" of the old row, and the unit's key is {', '.join(key)}",
        hint="ALTER TABLE ... REPLICA IDENTITY FULL, or name the replica identity's columns as primary_key; then reset the unit",
    )
