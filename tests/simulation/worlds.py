"""The worlds of histories: the protocol over an abstract source and sink, a database as source, a database
as sink, changes from a log, a lake as sink."""

from random import Random

from tests.simulation.databases.database_table import DatabaseTable
from tests.simulation.databases.table_strategy import TableStrategy
from tests.simulation.databases.traits import Traits
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.integer_strategy import IntegerStrategy
from tests.simulation.logs.log_server import LogTable
from tests.simulation.logs.log_strategy import LogStrategy
from tests.simulation.scheduler import Scheduler
from tests.simulation.source_table import SourceTable

PROTOCOL, DATABASE, SQL_SINK, LOG, LAKE = "protocol", "database", "sql sink", "log", "lake"
WORLDS = (*[PROTOCOL] * 10, *[DATABASE] * 5, *[SQL_SINK] * 2, *[LOG] * 5, *[LAKE] * 2)  # how often each is drawn


def draw_table(world: str, random: Random, faults: FaultInjector) -> tuple[SourceTable, str]:
    """The source, and how its rows are written."""
    if world == DATABASE:
        traits = Traits.draw(random)
        return DatabaseTable(random, traits, faults.note), traits.write
    if world == LOG:
        return LogTable(random, faults.note), random.choice(["upsert", "upsert", "append"])
    write = random.choice(["append", "replace"] if world == LAKE else ["upsert", "upsert", "append", "replace"])
    lookback = random.choice([0, 0, 6]) if write == "upsert" else 0
    return SourceTable(random, random.randint(1, 3), lookback), write


def strategy_of(
    table: SourceTable, write: str, scheduler: Scheduler, faults: FaultInjector, width: int, *, reads_ahead: bool
) -> IntegerStrategy:
    if isinstance(table, LogTable):
        return LogStrategy(table, write, scheduler, faults, width)
    if isinstance(table, DatabaseTable):
        return TableStrategy(table, scheduler, width)
    return IntegerStrategy(table, write, width, table.lookback, reads_ahead)
