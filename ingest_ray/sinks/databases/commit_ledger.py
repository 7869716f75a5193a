"""The commit ledger: one row per unit, written in the transaction that writes the unit's rows, so that an older epoch cannot commit.

A row holds the epoch that owns the unit, the last sequence number and its counts, and the table's columns as this sink made them.
"""

import base64
import json
from dataclasses import dataclass, field

import pyarrow as pa

from ingest_ray.sdk.contracts import SinkProgress
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
class RecordedColumns:
    """The columns that this sink made: their Arrow types, and the types that the database reported for them afterwards.

    `intended`: the columns that DDL would make which was announced, and of which no process has recorded the end. Where DDL
    commits by itself, a killed process leaves it executed, in part, or not at all.
    """

    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    reported: dict[str, str] = field(default_factory=dict)
    intended: pa.Schema | None = None

    def to_text(self) -> str:
        document: dict[str, object] = {"schema": _pack(self.schema), "reported": self.reported}
        if self.intended is not None:
            document["intended"] = _pack(self.intended)
        return json.dumps(document)

    @classmethod
    def from_text(cls, text: str) -> "RecordedColumns":
        if not text:
            return cls()
        document = json.loads(text)
        intended = document.get("intended")
        return cls(
            _unpack(document["schema"]), document["reported"], _unpack(intended) if intended is not None else None
        )


def _pack(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def _unpack(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


@dataclass(frozen=True)
class LedgerEntry:
    epoch: int
    sequence: int
    committed: int
    deduplicated: int
    columns: RecordedColumns


class CommitLedger:
    """The ledger of one database: every method works in the transaction of the given session."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._table = database.quoted_table(LEDGER)

    def create(self, session: Session) -> None:
        text, number = self._db.key_type, "bigint not null"
        kinds = dict(
            zip(_COLUMNS, (text, text, number, number, number, number, self._db.long_text, number), strict=True)
        )
        columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        options = self._db.table_options
        session.execute(f"create table if not exists {self._table} ({columns}, primary key (app_id)){options}")
        self._db.refuse_unsafe_tables(session, [LEDGER])

    def lock_entry(self, session: Session, target: Target, table: str, epoch: int) -> LedgerEntry:
        """Locks the unit's row until the transaction ends; inserts it where it is missing; refuses an older epoch."""
        values = (target.app_id, table.lower(), 0, 0, 0, 0, "", 0)
        session.execute(self._db.insert_if_missing_sql(self._table, _COLUMNS), *values)
        # A change of a column of its own, not FOR UPDATE: a database without row locks, such as DuckDB, reports a conflict
        # only where two transactions change the same column of a row.
        session.execute(
            f"update {self._table} set turn = turn + 1 where app_id = {self._placeholder(1)}", target.app_id
        )
        entry = self.read_entry(session, target)
        if entry is None:
            raise SinkRejected(f"the ledger has lost unit '{target.unit_id}'")
        if entry.epoch > epoch:
            raise Fenced(
                f"unit '{target.unit_id}' belongs to epoch {entry.epoch} in its sink, and this is epoch {epoch}",
                newer_epoch=entry.epoch,
            )
        return entry

    def read_entry(self, session: Session, target: Target) -> LedgerEntry | None:
        names = ", ".join(_COLUMNS[2:-1])
        rows = session.execute(
            f"select {names} from {self._table} where app_id = {self._placeholder(1)}", target.app_id
        )
        if not rows:
            return None
        epoch, sequence, committed, deduplicated, columns = rows[0]
        return LedgerEntry(
            int(epoch), int(sequence), int(committed), int(deduplicated), RecordedColumns.from_text(columns)
        )

    def read_progress(self, session: Session, target: Target, table: str) -> SinkProgress:
        """Epoch and number of a unit. Without its table or its row, or without a ledger, there is no target."""
        if not self._db.read_columns(session, table) or not self._db.read_columns(session, LEDGER):
            return SinkProgress(exists=False)
        entry = self.read_entry(session, target)
        return SinkProgress(exists=False) if entry is None else SinkProgress(entry.epoch, entry.sequence)

    def take_over(self, session: Session, target: Target, table: str, epoch: int) -> None:
        """Makes `epoch` the unit's owner. A table belongs to one unit."""
        others = session.execute(
            f"select app_id from {self._table} where target_table = {self._placeholder(1)}"
            f" and app_id <> {self._placeholder(2)}",
            table.lower(),
            target.app_id,
        )
        if others:
            raise SinkRejected(
                f"table '{table}' already belongs to another unit: '{others[0][0]}'",
                hint="give one of the two units a sink with another schema",
            )
        self._update(session, target, {"epoch": epoch})

    def record_commit(self, session: Session, target: Target, sequence: int, committed: int, deduplicated: int) -> None:
        self._update(
            session,
            target,
            {"sequence_number": sequence, "rows_committed": committed, "rows_deduplicated": deduplicated},
        )

    def record_columns(self, session: Session, target: Target, columns: RecordedColumns) -> None:
        self._update(session, target, {"shape": columns.to_text()})

    def column_record(self, session: Session, target: Target, table: str, epoch: int) -> "ColumnRecord":
        return ColumnRecord(self, session, target, table, epoch)

    def _update(self, session: Session, target: Target, values: dict[str, str | int]) -> None:
        settings = ", ".join(f"{name} = {self._placeholder(number)}" for number, name in enumerate(values, 1))
        last = self._placeholder(len(values) + 1)
        session.execute(f"update {self._table} set {settings} where app_id = {last}", *values.values(), target.app_id)

    def _placeholder(self, number: int) -> str:
        return self._db.placeholder.format(number)


@dataclass(frozen=True)
class ColumnRecord:
    """The recorded columns of one table, in the transaction of one session."""

    ledger: CommitLedger
    session: Session
    target: Target
    table: str
    epoch: int

    def lock(self) -> RecordedColumns:
        """Locks the record until the transaction ends; refuses an older epoch."""
        return self.ledger.lock_entry(self.session, self.target, self.table, self.epoch).columns

    def write(self, columns: RecordedColumns) -> None:
        self.ledger.record_columns(self.session, self.target, columns)
