"""Deliberate bugs in the code for databases, as sources and as sinks: the histories of these worlds must detect each of them."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest_ray.core import checkpoint
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Scope, SegmentState
from ingest_ray.sinks.databases import table_schema
from ingest_ray.sinks.databases.commit_ledger import CommitLedger
from ingest_ray.sinks.databases.model_dml import ModelDml
from ingest_ray.sinks.databases.mysql.database import MySqlDatabase
from ingest_ray.state import writer
from ingest_strategies.jdbc.mysql import horizon as mysql_horizon
from ingest_strategies.jdbc.mysql.row_origin import RowOrigin
from ingest_strategies.jdbc.planning import lookback, probe, unchanged, wall_times
from ingest_strategies.jdbc.postgres import horizon as postgres_horizon

Patch = Callable[[pytest.MonkeyPatch], None]


def resumed_scope_inserts_again(patch: pytest.MonkeyPatch) -> None:
    """A scope that goes on may insert without a merge, whatever was in the target when it began."""
    opened = checkpoint.opened

    def hopeful(state: SegmentState, planned: Sequence[Scope], **options: Any) -> Any:
        after, scopes = opened(state, planned, **options)
        known = {scope.scope_id for scope in state.scopes}
        hopes = {scope.scope_id for scope in planned if scope.is_insert_only and scope.scope_id in known}
        return after, tuple(
            scope.model_copy(update={"is_insert_only": True}) if scope.scope_id in hopes else scope for scope in scopes
        )

    patch.setattr(writer, "opened", hopeful)


def planned_advances_ignored(patch: pytest.MonkeyPatch) -> None:
    """`next_lower` is the watermark, whatever is planned above it."""
    for module in (probe, lookback, unchanged):
        patch.setattr(module, "next_lower", lambda state: state.watermark if state is not None else None)


def writers_of_a_counter_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    for horizon in (postgres_horizon, mysql_horizon):
        patch.setattr(horizon, "wait_for_writers", lambda *_: [])


def blocks_of_a_sequence_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(postgres_horizon, "counter_lag", lambda *_: (0, ""))


def replay_position_of_a_standby_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(postgres_horizon, "REPLAYED", "SELECT clock_timestamp()::text")


def stopped_replica_taken_for_a_primary(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mysql_horizon, "read_row_origin", lambda _session: RowOrigin())


def hidden_transactions_have_no_lag(patch: pytest.MonkeyPatch) -> None:
    for horizon in (postgres_horizon, mysql_horizon):
        patch.setattr(horizon, "DEFAULT_LAG_S", 0)


def unknown_starts_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(postgres_horizon, "_UNTRACKED", "SELECT 1, 'none' WHERE 1 = 0")


def zone_of_the_server_taken_for_that_of_the_writers(patch: pytest.MonkeyPatch) -> None:
    for horizon in (postgres_horizon, mysql_horizon):
        patch.setattr(horizon, "earliest_wall_time", lambda *_: datetime(9000, 1, 1))


def hour_that_repeats_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wall_times, "most_set_back", lambda *_: timedelta())


def engine_of_tables_not_said(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MySqlDatabase, "table_options", "")
    patch.setattr(MySqlDatabase, "refuse_unsafe_tables", lambda *_: None)


def ddl_not_announced(patch: pytest.MonkeyPatch) -> None:
    """The ledger records a table after it was made: a process that dies in between leaves one that nobody made."""

    def strict(db: Any, _session: Any, definition: Any, *_: Any) -> None:
        raise SinkRejected(f"table '{definition.table}' is there already, and this sink did not make it")

    patch.setattr(table_schema, "_refuse_foreign_table", strict)


def table_of_others_taken_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(table_schema, "_refuse_foreign_table", lambda *_: None)
    refuse = table_schema._evolved_schema

    def lenient(db: Any, table: str, wanted: Any, current: Any, reported: dict[str, str]) -> Any:
        return refuse(
            db, table, wanted, current, {name: kind for name, kind in reported.items() if name in current.schema.names}
        )

    patch.setattr(table_schema, "_evolved_schema", lenient)


def table_of_another_unit_taken_over(patch: pytest.MonkeyPatch) -> None:
    update = CommitLedger._update
    patch.setattr(
        CommitLedger,
        "take_over",
        lambda self, session, target, table, epoch: update(self, session, target, {"epoch": epoch}),
    )


def versions_of_a_shared_model_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ModelDml, "_drop_outdated", lambda _self: None)


def rows_without_a_version_are_never_newer(patch: pytest.MonkeyPatch) -> None:
    update = MySqlDatabase.update_from_sql

    def picky(self: Any, table: str, source: str, values: dict[str, str], where: str) -> str:
        return update(self, table, source, values, where.replace(" is null or ", " is null and "))

    patch.setattr(MySqlDatabase, "update_from_sql", picky)


def default_look_back_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lookback, "DEFAULT_LOOKBACK_S", 0)


def window_ends_while_transactions_are_open(patch: pytest.MonkeyPatch) -> None:
    """What was read until the clock of a run counts as complete, although a transaction of before was open."""
    read = lookback.read_source_clock

    def hasty(settled_s: float | None, clock_s: float, *, is_own: bool = True) -> Any:
        return read(clock_s if is_own and settled_s is not None else settled_s, clock_s, is_own=is_own)

    for horizon in (postgres_horizon, mysql_horizon):
        patch.setattr(horizon, "read_source_clock", hasty)


def clock_that_was_set_back_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lookback, "set_back_s", lambda *_: 0.0)


SOURCE_MUTATIONS: Sequence[Patch] = (
    resumed_scope_inserts_again,
    planned_advances_ignored,
    writers_of_a_counter_not_waited_for,
    blocks_of_a_sequence_ignored,
    replay_position_of_a_standby_ignored,
    stopped_replica_taken_for_a_primary,
    hidden_transactions_have_no_lag,
    unknown_starts_ignored,
    zone_of_the_server_taken_for_that_of_the_writers,
    hour_that_repeats_forgotten,
    default_look_back_forgotten,
    window_ends_while_transactions_are_open,
    clock_that_was_set_back_not_noticed,
)
SINK_MUTATIONS: Sequence[Patch] = (
    engine_of_tables_not_said,
    ddl_not_announced,
    table_of_others_taken_over,
    table_of_another_unit_taken_over,
    versions_of_a_shared_model_ignored,
    rows_without_a_version_are_never_newer,
)
