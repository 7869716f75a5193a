"""Replaces the product's clock and sleep for the time of one history: a wait lets the other simulated processes go on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.run import change_log as run_change_log
from ingest_ray.run import unchanged
from ingest_ray.sdk.contracts import KV, LogReader, Probe, ReadContext, RowSource
from ingest_ray.sdk.types import UnitSpec
from ingest_ray.sinks.databases import conflicts, stage_loader
from ingest_ray.state.lease import is_live
from ingest_strategies.jdbc.changes import change_rows
from ingest_strategies.jdbc.mysql import horizon as mysql_horizon
from ingest_strategies.jdbc.planning import counters, lookback
from ingest_strategies.jdbc.planning import unchanged as quick_check
from ingest_strategies.jdbc.postgres import horizon as postgres_horizon
from ingest_strategies.jdbc.postgres.changes import change_log as postgres_log
from ingest_strategies.jdbc.postgres.changes import slot, slot_lock
from ingest_strategies.jdbc.postgres.changes.log_parts import forget_parts
from tests.simulation.databases.database_table import DatabaseTable
from tests.simulation.scheduler import Scheduler

POLL_S = 1.0  # of waits for writers: one look per second shows as much as twenty


@dataclass
class SimulatedTime:
    scheduler: Scheduler

    def sleep(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)

    def monotonic(self) -> float:
        return self.scheduler.now


@dataclass
class ReadersClock:
    """The clock of the host that reads: it is never set back."""

    strategies: Mapping[str, RowSource]

    def time(self) -> float:
        tables = [getattr(strategy, "table", None) for strategy in self.strategies.values()]
        return next((float(table.readers_clock_s) for table in tables if isinstance(table, DatabaseTable)), 0.0)


@dataclass
class CountedRows:
    """Stands for the hash of staged rows, which has tests of its own and costs more than the rest of a slice."""

    rows: int = 0

    def update(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows

    def hexdigest(self) -> str:
        return "-"


def _open_table_probe(dialect: Any, spec: UnitSpec, known: Any) -> AbstractContextManager[Probe]:
    probe: AbstractContextManager[Probe] = dialect.strategy.open_table_probe()
    return probe


def _look_up(dialect: Any, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Any) -> Any:
    return dialect.strategy.look_up(keys, context.schema)


@contextmanager
def simulated_world(
    scheduler: Scheduler,
    random: Random,
    kv: KV,
    strategies: Mapping[str, RowSource],
    unit_writer: object,
    readers_of: Callable[[KV, str], list[LogReader]],
) -> Iterator[None]:
    """`strategies`: by run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unchanged, "open_state", lambda _settings: kv)
        patch.setattr(unchanged, "strategy_of", lambda order: strategies[order.run_id])
        patch.setattr(unchanged, "opened_spec", lambda order: order.spec)
        patch.setattr(unchanged, "staging_for", lambda _order: None)
        patch.setattr(unchanged, "writer_for", lambda _order, _staging: unit_writer)
        patch.setattr(unchanged, "is_live", lambda lease: is_live(lease, lambda: scheduler.now))
        for module in (counters, mysql_horizon, postgres_horizon, conflicts):
            patch.setattr(module, "time", SimulatedTime(scheduler))
        for clocked in (lookback, quick_check):
            patch.setattr(clocked, "time", ReadersClock(strategies))
        for horizon in (mysql_horizon, postgres_horizon):
            patch.setattr(horizon, "LOCK_POLL_S", POLL_S)
        patch.setattr(run_change_log, "open_state", lambda _settings: kv)
        patch.setattr(run_change_log, "opened_spec", lambda order: order.spec)
        patch.setattr(run_change_log, "_log_of", lambda context: strategies[context.order.run_id].log)  # type: ignore[attr-defined]
        patch.setattr(postgres_log, "open_probe", _open_table_probe)
        patch.setattr(change_rows, "look_up", _look_up)
        for waiting in (slot, slot_lock):
            patch.setattr(waiting, "time", SimulatedTime(scheduler))
        patch.setattr(slot_lock, "POLL_S", POLL_S)
        patch.setattr(run_change_log, "readers_of", readers_of)
        forget_parts()
        patch.setattr(conflicts, "random", random)
        patch.setattr(stage_loader, "RowHash", CountedRows)
        yield
