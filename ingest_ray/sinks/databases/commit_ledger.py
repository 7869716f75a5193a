"""The ledger: one row per unit, written in the transaction that writes the unit's rows. There is no stronger fence.

It has the epoch that owns the unit, the last sequence number and its counts, and the columns as this sink made them.
"""

import base64
import json
from dataclasses import dataclass, field

import pyarrow as pa

from ingest_ray.sdk.errors import Fenced, SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.databases.database import LEDGER, Database, Session

_COLUMNS = (
    "app_id",
    "target_table",
    "epoch",
    "sequence_number",
    "rows_committed",
    "rows_deduplicated",
    "shape",
    "turn",
)


@dataclass(frozen=True)
class Shape:
    """The columns that were made: their Arrow types, and what the database called their types afterwards."""

    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    reported: dict[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        packed = base64.b64encode(self.schema.serialize().to_pybytes()).decode()
        return json.dumps({"schema": packed, "reported": self.reported})

    @classmethod
    def from_text(cls, text: str) -> "Shape":
        if not text:
            return cls()
        found = json.loads(text)
        return cls(pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found["schema"]))), found["reported"])


@dataclass(frozen=True)
class Entry:
    epoch: int
    sequence: int
    committed: int
    deduplicated: int
    shape: Shape


class Ledger:
    def __init__(self, database: Database) -> None:
        self._db = database
        self._table = database.table(LEDGER)

    def make(self, session: Session) -> None:
        text, number = self._db.key_type, "bigint not null"
        kinds = dict(
            zip(_COLUMNS, (text, text, number, number, number, number, self._db.long_text, number), strict=True)
        )
        columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        session.run(f"create table if not exists {self._table} ({columns}, primary key (app_id))")

    def lock(self, session: Session, target: Target, table: str, epoch: int) -> Entry:
        """Holds the unit's row until the transaction ends; makes it where it is missing; refuses an older epoch."""
        values = (target.app_id, table.lower(), 0, 0, 0, 0, "", 0)
        session.run(self._db.insert_if_missing(self._table, _COLUMNS), *values)
        # A change of its own column, not FOR UPDATE: a database without row locks, such as DuckDB, sees a conflict only
        # where two transactions change the same column of a row.
        session.run(f"update {self._table} set turn = turn + 1 where app_id = {self._marks(1)}", target.app_id)
        entry = self._read(session, target)
        if entry is None:
            raise SinkRejected(f"the ledger has lost unit '{target.unit_id}'")
        if entry.epoch > epoch:
            raise Fenced(
                f"unit '{target.unit_id}' belongs to epoch {entry.epoch} in its sink, and this is epoch {epoch}"
            )
        return entry

    def peek(self, session: Session, target: Target) -> Entry | None:
        return self._read(session, target)

    def claim(self, session: Session, target: Target, table: str, epoch: int) -> None:
        """Takes the unit for an epoch. One table belongs to one unit."""
        others = session.run(
            f"select app_id from {self._table} where target_table = {self._marks(1)} and app_id <> {self._marks(2)}",
            table.lower(),
            target.app_id,
        )
        if others:
            raise SinkRejected(
                f"table '{table}' already belongs to another unit: '{others[0][0]}'",
                hint="give one of the two units a sink with another schema",
            )
        self._set(session, target, {"epoch": epoch})

    def note(self, session: Session, target: Target, sequence: int, committed: int, deduplicated: int) -> None:
        self._set(
            session,
            target,
            {"sequence_number": sequence, "rows_committed": committed, "rows_deduplicated": deduplicated},
        )

    def remember(self, session: Session, target: Target, shape: Shape) -> None:
        self._set(session, target, {"shape": shape.to_text()})

    def _set(self, session: Session, target: Target, values: dict[str, str | int]) -> None:
        settings = ", ".join(f"{name} = {self._marks(place)}" for place, name in enumerate(values, 1))
        last = self._marks(len(values) + 1)
        session.run(f"update {self._table} set {settings} where app_id = {last}", *values.values(), target.app_id)

    def _read(self, session: Session, target: Target) -> Entry | None:
        names = ", ".join(_COLUMNS[2:-1])
        found = session.run(f"select {names} from {self._table} where app_id = {self._marks(1)}", target.app_id)
        if not found:
            return None
        epoch, sequence, committed, deduplicated, shape = found[0]
        return Entry(int(epoch), int(sequence), int(committed), int(deduplicated), Shape.from_text(shape))

    def _marks(self, number: int) -> str:
        return self._db.mark.format(number)
