"""The product's planner over a simulated database: its probe, horizon, scopes and quick check. Cuts and rows are the simulation's."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.types import (
    Axis,
    Column,
    Dataset,
    Endpoint,
    Policy,
    Position,
    RunMode,
    Scope,
    SegmentState,
    UnitConfig,
    UnitSpec,
    WriteMode,
)
from ingest_strategies.jdbc.dialect import Dialect
from ingest_strategies.jdbc.strategy import SqlStrategy
from tests.simulation.databases.database_table import DatabaseTable
from tests.simulation.databases.mysql import SimulatedMysql, stamp
from tests.simulation.databases.postgres import SimulatedPostgres
from tests.simulation.integer_strategy import KEY, IntegerStrategy
from tests.simulation.scheduler import Scheduler

TYPES = {"timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone", "int": "bigint"}


class TableStrategy(IntegerStrategy):
    """`traits.lookback` is the policy's; rows above the horizon are read as the product decides."""

    def __init__(self, table: DatabaseTable, scheduler: Scheduler, width: int, *, lag: int | None = None) -> None:
        traits = table.traits
        super().__init__(table, traits.write, width, traits.lookback or 0, reads_ahead=False)
        dialect: Dialect = (
            SimulatedPostgres(table, scheduler) if traits.database == "postgres" else SimulatedMysql(table, scheduler)
        )
        self.spec = spec_of(table, lag)
        self._is_mysql_time = traits.database == "mysql" and not traits.is_counter
        descriptor: Any = None
        self._planner = SqlStrategy(descriptor, dialect)

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        return self._planner.is_unchanged(self.spec, known)

    def probe(self, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return self._planner.probe(self.spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> list[Scope]:
        return list(self._planner.scopes(self.spec, probe, known))

    def position(self, axis: Axis, value: int) -> Position:
        return (stamp(value),) if self._is_mysql_time and axis != KEY else (value,)


def spec_of(table: DatabaseTable, lag: int | None) -> UnitSpec:
    traits = table.traits
    columns = (
        Column(name="id", source_type="bigint", arrow="int64", nullable=False),
        Column(name="at", source_type=TYPES[traits.cursor], arrow="int64", nullable=False),
    )
    dataset = Dataset(
        endpoint_id="e",
        name="u",
        columns=columns,
        primary_key=("id",),
        unique_keys=(("at",),) if traits.is_counter else (),
        facts={"schema": "s", "table": "t"},
    )
    policy = Policy(
        cursor="at",
        write=WriteMode(traits.write),
        lookback=traits.lookback,
        lag=lag,
        cursor_zone=traits.writer_zone if traits.declares_zone else None,
        snapshot=False,
    )
    config = UnitConfig(endpoint_id="e", unit_id="u", sink_id="s", run_mode=RunMode.INCREMENTAL, policy=policy)
    endpoint = Endpoint(endpoint_id="e", template=f"jdbc.{traits.database}")
    return UnitSpec(endpoint=endpoint, dataset=dataset, config=config)
