"""The product's SQL sink as the sink of a history: `SqlSink` or `SqlModelSink` over a simulated MariaDB. Judged at every commit of the database."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ingest_ray.cdm.models import KEY, SOURCE_KEY, VERSION, model_of
from ingest_ray.sdk.contracts import ModelTable, SinkProgress
from ingest_ray.sdk.types import Axis, Effect, ModelCounts, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.databases.database import LEDGER, STAGE
from ingest_ray.sinks.databases.model_sink import SqlModelSink
from ingest_ray.sinks.databases.table_sink import SqlSink
from tests.simulation.databases.maria_server import MariaServer, SimulatedMaria
from tests.simulation.invariants import InvariantChecker
from tests.simulation.simulated_staging import MODEL, Rows

TABLE = "u"
MODEL_ID = "cdm.work.user"
MODEL_TABLE = "cdm_work_user"
FOREIGN_ROW = (7, "not ours")
MOST_COLUMNS = 3
MOST_COPIES = 8


@dataclass(frozen=True)
class DatabaseCopy:
    content: sqlite3.Connection
    engines: dict[str, str]
    sequence: int
    is_foreign: bool


@dataclass
class SqlSinkServer:
    """`is_versioned`: rows of the model have a version. `columns`: how many more columns the source has than at first."""

    write: str
    checker: InvariantChecker
    database: MariaServer
    is_mapped: bool = False
    is_versioned: bool = True
    refused: frozenset[int] = frozenset()
    columns: int = 0
    shown: Counter[tuple[int, int]] = field(default_factory=Counter)
    newest: dict[int, int] = field(default_factory=dict)
    sequence: int = 0
    copies: list[DatabaseCopy] = field(default_factory=list)
    """What the database was after each of the last commits."""
    is_foreign: bool = False
    """Another program has made the table."""

    def __post_init__(self) -> None:
        self.database.on_commit = self._check_commit
        self._db = SimulatedMaria(self.database)

    # --- as a sink

    def read_progress(self, run_id: str) -> SinkProgress:
        if self.is_mapped:
            return SqlModelSink(self._db).read_progress([self.model_table(run_id)])
        return SqlSink(self._db).read_progress(self.target(run_id))

    def open(self, run_id: str, epoch: int) -> int:
        if self.is_mapped:
            return SqlModelSink(self._db).open([self.model_table(run_id)], epoch)
        return SqlSink(self._db).open(self.target(run_id), self.schema, epoch)

    def is_empty(self, run_id: str) -> bool:
        return not self.is_mapped and SqlSink(self._db).is_empty(self.target(run_id))

    def prepare(self, run_id: str, piece: Slice, uri: str, rows: Rows) -> Prepared:
        if self.is_mapped:
            table = self.model_table(run_id)
            return SqlModelSink(self._db).prepare(table, piece, [self._model_rows(rows, "u")])
        batch = pa.RecordBatch.from_pylist(
            [{name: key if name == "id" else at for name in self.schema.names} for key, at in rows], schema=self.schema
        )
        return SqlSink(self._db).prepare(self.target(run_id), piece, self.schema, [batch])

    def commit(self, run_id: str, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        if not self.is_mapped:
            return SqlSink(self._db).commit(self.target(run_id), self.schema, epoch, sequence, group)
        parts = [prepared.model_copy(update={"models": {MODEL_ID: prepared.models[MODEL]}}) for prepared in group]
        counts: Sequence[ModelCounts] = SqlModelSink(self._db).commit(
            [self.model_table(run_id)], epoch, sequence, [parts]
        )
        rows = sum(prepared.rows for prepared in group)
        return Receipt(epoch=epoch, sequence=sequence, rows_committed=rows, models={MODEL: counts[0]})

    def abort(self, group: Sequence[Prepared]) -> None:
        if self.is_mapped:
            SqlModelSink(self._db).abort([group])
        else:
            SqlSink(self._db).abort(group)

    # --- what happens to the database

    def crash(self) -> None:
        """The server loses stages: their rows wait for a commit and are not durable."""
        if self.database.holder is not None:
            return
        for name in self.database.tables():
            if name.startswith(STAGE):
                self.database.sql.execute(f"delete from `{name}`")

    def truncate(self) -> None:
        for name in self.database.tables():
            if name in (TABLE, MODEL_TABLE):
                self.database.sql.execute(f"delete from `{name}`")
        self._read_rows()

    def copy(self) -> DatabaseCopy:
        """A backup of the database, while no transaction is open."""
        kept = sqlite3.connect(":memory:", isolation_level=None)
        self.database.end_transaction_of_the_dead()
        self.database.sql.backup(kept)
        return DatabaseCopy(kept, dict(self.database.engines), self.sequence, self.is_foreign)

    def restore(self, copy: DatabaseCopy) -> None:
        self.database.end_transaction_of_the_dead()
        copy.content.backup(self.database.sql)
        self.database.engines = dict(copy.engines)
        self.sequence, self.is_foreign = copy.sequence, copy.is_foreign
        self.newest, self.shown = {}, Counter()
        self._read_rows()

    def widen(self) -> None:
        """The source gets another column."""
        self.columns = min(self.columns + 1, MOST_COLUMNS)

    def make_foreign_table(self) -> bool:
        """Another program makes a table of the unit's name, where there is none yet."""
        if self.is_mapped or self.database.holder is not None or TABLE in self.database.tables():
            return False
        self.database.sql.execute(f"create table `{TABLE}` (id integer, x text)")
        self.database.sql.execute(f"insert into `{TABLE}` values (?, ?)", FOREIGN_ROW)
        self.is_foreign = True
        return True

    def remove_foreign_table(self) -> None:
        """What the hint of the refusal says; the rows of the other program must be as they were."""
        if self.database.sql.execute(f"select * from `{TABLE}`").fetchall() != [FOREIGN_ROW]:
            self.checker.report_violation("the table of another program was changed")
        self.database.drop(TABLE)
        self.is_foreign = False

    def change_engine(self, engine: str) -> bool:
        changed = [name for name in (TABLE, MODEL_TABLE, LEDGER) if name in self.database.tables()]
        self.database.engines.update(dict.fromkeys(changed, engine))
        return bool(changed)

    def open_by_other_unit(self) -> None:
        """Another unit, whose table has the same name, opens it. Raises `SinkRejected` where this one has it."""
        other = self.target("other").model_copy(update={"app_id": "other", "endpoint_id": "other"})
        SqlSink(self._db).open(other, self.schema, 1)

    def remove_other_unit(self) -> None:
        """What the hint of a refusal says. Its table goes with it, where this unit has never had it."""
        if LEDGER in self.database.tables():
            self.database.sql.execute(f"delete from `{LEDGER}` where app_id = 'other'")
            if not self._owner_epoch():
                self.database.drop(TABLE)

    def write_by_other_unit(self, rows: Rows) -> None:
        """Another unit fills the same table of the model with rows of the same ids."""
        target = self.target("other").model_copy(
            update={
                "app_id": "other",
                "endpoint_id": "other",
                "model": MODEL_ID,
                "key": (KEY,),
                "version_column": VERSION,
            }
        )
        table, sink = ModelTable(target, model_of(MODEL_ID).stored), SqlModelSink(self._db)
        piece = Slice(segment="all", scope_id="other", rank=(0,), axis=Axis(kind="whole"), effect=Effect.LOAD)
        sequence = sink.open([table], 1)
        prepared = sink.prepare(table, piece, [self._model_rows(rows, "other")])
        sink.commit([table], 1, sequence + 1, [[prepared]])

    # --- targets and rows

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, pa.int64()) for name in ("id", "at", *(f"c{n}" for n in range(self.columns)))])

    def target(self, run_id: str) -> Target:
        return Target(
            sink_id="s",
            endpoint_id="e",
            unit_id=TABLE,
            app_id="ours",
            write=WriteMode(self.write),
            key=("id",),
            version_column="at" if self.write == "upsert" else None,
            run_id=run_id,
        )

    def model_table(self, run_id: str) -> ModelTable:
        target = self.target(run_id).model_copy(update={"model": MODEL_ID, "key": (KEY,), "version_column": VERSION})
        return ModelTable(target, model_of(MODEL_ID).stored)

    def _model_rows(self, rows: Rows, unit: str) -> pa.RecordBatch:
        """Rows whose source has no order of versions arrive with NULL as their version."""
        known = [
            {
                KEY: f"id-{key}",
                "display_name": str(at),
                SOURCE_KEY: str(key),
                VERSION: at if self.is_versioned else None,
                "_source_endpoint": "e" if unit == TABLE else unit,
                "_source_unit": TABLE,
            }
            for key, at in rows
        ]
        return pa.RecordBatch.from_pylist(known, schema=model_of(MODEL_ID).stored)

    # --- the judge

    def has_row(self, key: int, at: int) -> bool:
        return self.newest.get(key, -1) >= at if self.write == "upsert" else self.shown[key, at] > 0

    def _owner_epoch(self) -> int:
        if LEDGER not in self.database.tables():
            return 0
        rows = self.database.sql.execute(f"select epoch from {LEDGER} where app_id like 'ours%'").fetchall()
        return max((int(epoch) for (epoch,) in rows), default=0)

    def _check_commit(self) -> None:
        """After each transaction: numbers follow each other, no row is there twice, no newer version was overwritten."""
        tables, before = self.database.tables(), dict(self.newest)
        if LEDGER not in tables:
            return
        owned = f"select count(*) from {LEDGER} where target_table = '{TABLE}' and epoch > 0"
        if self.database.sql.execute(owned).fetchone()[0] > 1:
            self.checker.report_violation("two units have the same table")
        rows = self.database.sql.execute(f"select sequence_number from {LEDGER} where app_id like 'ours%'").fetchall()
        sequence = max((int(number) for (number,) in rows), default=0)
        if sequence != self.sequence:
            self.checker.check_commit(self.sequence, sequence)
        is_same, self.sequence = sequence == self.sequence, sequence
        if not is_same:
            self.copies = [*self.copies[-MOST_COPIES:], self.copy()]
        if is_same and not self.is_mapped:
            return
        self._read_rows()
        if self.is_versioned:
            older = {key: at for key, at in self.newest.items() if at < before.get(key, at)}
            if older:
                self.checker.report_violation(f"older versions have overwritten newer ones: {older}")

    def _read_rows(self) -> None:
        name, columns = (MODEL_TABLE, "cdm_id, display_name") if self.is_mapped else (TABLE, "id, at")
        if name not in self.database.tables() or self.is_foreign:
            return
        found = self.database.sql.execute(f"select {columns} from `{name}`").fetchall()
        rows = Counter((int(str(key).removeprefix("id-")), int(at)) for key, at in found)
        if self.write == "upsert":
            if len({key for key, _ in rows}) < rows.total():
                self.checker.report_violation(f"a key is in the sink twice: {sorted(rows.elements())}")
            self.newest = dict(rows.keys())
        else:
            self.shown = rows
            self.checker.check_duplicates(rows, rows)
