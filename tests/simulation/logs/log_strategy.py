"""The product's log of PostgreSQL over the simulated server. The first load reads one snapshot, in slices along the key."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.changes import LOADED, with_changes
from ingest_ray.sdk.contracts import Probe, ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.types import (
    Column,
    Dataset,
    Endpoint,
    Interval,
    Piece,
    Policy,
    Position,
    RunMode,
    Scope,
    SegmentState,
    Slice,
    UnitConfig,
    UnitSpec,
    WriteMode,
)
from ingest_strategies.jdbc.planning.probe import TableProbe
from ingest_strategies.jdbc.postgres.changes.change_log import PostgresLog
from ingest_strategies.jdbc.postgres.changes.lsn import number_of
from ingest_strategies.jdbc.postgres.changes.slot import shared_name, slot_name
from ingest_strategies.jdbc.table_view import TableView
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.integer_strategy import KEY, IntegerStrategy, is_inside
from tests.simulation.logs.log_server import LogRow, LogTable
from tests.simulation.logs.log_session import SimulatedLogDialect
from tests.simulation.scheduler import Scheduler

ROUND_BYTES = 64 * 1024  # of a slice; a round reads two
LogRowTuple = tuple[Any, ...]
"""Key, `at`, operation, large value, unchanged columns, position of the commit, place in the transaction."""


class LogStrategy(IntegerStrategy):
    def __init__(self, table: LogTable, write: str, scheduler: Scheduler, faults: FaultInjector, width: int) -> None:
        super().__init__(table, write, width, 0, reads_ahead=False)
        self.spec = spec_of(write)
        self.dialect = SimulatedLogDialect(table, scheduler, faults)
        self.dialect.strategy = self
        self.log = PostgresLog(self.dialect)
        self._snapshot: dict[int, LogRow] = {}
        table.main_slot, table.shared_slot = slot_name(self.spec), shared_name(self.spec.endpoint)

    def probe(self, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return self.log.probe(self.spec, known)

    @contextmanager
    def open_table_probe(self) -> Iterator[Probe]:
        """As the planner does: the snapshot is taken when the log was opened."""
        with self.dialect.open(self.spec.endpoint) as session:
            session.rows("SELECT 1")  # a request: others may go on before it
            self._snapshot = dict(self.table.rows)  # type: ignore[arg-type]
            view = TableView(self.dialect, self.spec)
            size = self.dialect.size(session, self.spec)
            yield Probe(strategy="log", snapshot="of this moment", live=TableProbe(session, view, KEY, size))

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> list[Scope]:
        return list(self.log.scopes(self.spec, probe, known))

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return super().cut(spec, probe, scope, gap) if scope.axis == KEY else self.log.cut(self.spec, probe, scope, gap)

    def _rows(self, scope: Scope | Slice, interval: Interval) -> list[tuple[int, int]]:
        return sorted((key, row.at) for key, row in self._snapshot.items() if is_inside(key, interval))

    def read(self, piece: Slice, horizon: Position | None) -> list[Any]:
        if piece.axis == KEY:
            lsn = number_of(horizon) if horizon is not None else 0
            keys = [key for key, _ in self._rows(piece, piece.interval)]
            loaded = [(key, self._snapshot[key]) for key in keys]
            return [(key, row.at, LOADED, f"b{row.big}", None, lsn, 0) for key, row in loaded]
        schema = with_changes(schema_of(self.spec.dataset, None))
        context = ReadContext(schema=schema, page_bytes=1, budget_bytes=1, reject=refuse_rejection)
        rows = [row for batch in self.log.read(self.spec, piece, context) for row in batch.to_pylist()]
        names = ("id", "at", "_op", "big", "_unchanged", "_lsn", "_seq")
        return [tuple(row[name] for name in names) for row in rows]

    def look_up(self, keys: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows of now."""
        with self.dialect.open(self.spec.endpoint) as session:
            session.rows("SELECT 1")
        assert isinstance(self.table, LogTable)
        self.table.looked_up |= set(keys.column(0).to_pylist())
        found = [(key, self.table.rows[key]) for key in keys.column(0).to_pylist() if key in self.table.rows]
        rows = [{"id": key, "at": row.at, "big": f"b{row.big}"} for key, row in found]  # type: ignore[attr-defined]
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def refuse_rejection(raw: Mapping[str, Any], reason: str, column: str | None) -> None:
    raise AssertionError(f"{reason}: {raw}")


def spec_of(write: str) -> UnitSpec:
    columns = (
        Column(name="id", source_type="bigint", arrow="int64", nullable=False),
        Column(name="at", source_type="bigint", arrow="int64", nullable=False),
        Column(name="big", source_type="text", arrow="string", nullable=False),
    )
    facts = {"schema": "public", "table": "t", "relkind": "r"}
    dataset = Dataset(endpoint_id="e", name="public.t", columns=columns, primary_key=("id",), facts=facts)
    policy = Policy(write=WriteMode(write), target_slice_bytes=ROUND_BYTES)
    config = UnitConfig(endpoint_id="e", unit_id="u", sink_id="s", run_mode=RunMode.CHANGES, policy=policy)
    endpoint = Endpoint(endpoint_id="e", template="jdbc.postgres", config={"publication": "ours"})
    return UnitSpec(endpoint=endpoint, dataset=dataset, config=config)
