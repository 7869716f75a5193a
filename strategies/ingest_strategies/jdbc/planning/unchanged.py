"""Whether a table is unchanged: no row is above the last planned advance. One statement, without horizon and snapshot.

If so, the run has nothing to read and moves no watermark, so that a later run finds the rows of a transaction that is still
open. The policy's own filter is left out, which can only find more rows: so True is never wrong. A clock that was set back is a
change: rows below that advance may come.
"""

import time

from ingest_ray.sdk.types import Effect, SegmentState, UnitSpec
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.planning.lookback import STEP_S, is_time, last_look, next_lower, remaining_span
from ingest_strategies.jdbc.table_view import TableView

READERS_DIFFER_S = 5.0  # clocks of readers that a service sets; a larger difference costs a probe
_UNFINISHED = (Effect.ADVANCE, Effect.REPEAT)


def can_be_unchanged(spec: UnitSpec, state: SegmentState | None) -> bool:
    """Whether the test applies: no scope is unfinished, and there is a position from which on rows are new."""
    if state is None or not state.is_loaded or next_lower(state) is None:
        return False
    return bool(spec.policy.cursor) and not any(scope.effect in _UNFINISHED for scope in state.scopes)


def has_no_newer_rows(dialect: Dialect, session: Session, spec: UnitSpec, state: SegmentState) -> bool:
    """Tests the newest row, which an index finds directly; and rows without a cursor, where every run reads them."""
    view, lower = TableView(dialect, spec), next_lower(state)
    assert lower is not None
    column, policy = view.cursor.columns[0], spec.policy
    span = remaining_span(view, state, None)
    bound = dialect.earlier(column, lower[0], span) if span else dialect.literal(column, lower[0])
    has_value = [f"{column.sql} IS NOT NULL"] if column.is_nullable else []
    newest = (
        f"SELECT CASE WHEN {column.sql} >= {bound} THEN 1 ELSE 0 END AS moved {_source_without_filter(view, has_value)}"
        f" {dialect.limit_clause(1, order=f'ORDER BY {column.sql} DESC')}"
    )
    parts = [f"SELECT moved FROM ({newest}) newest"]
    if column.is_nullable and policy.cursor_nulls != "exclude":
        missing = (
            f"SELECT 1 AS moved {_source_without_filter(view, [f'{column.sql} IS NULL'])} {dialect.limit_clause(1)}"
        )
        parts.append(f"SELECT moved FROM ({missing}) missing")
    earliest_s = earliest_clock(view, state)
    if earliest_s is not None:
        parts.append(dialect.select_value(f"CASE WHEN {dialect.clock_s} < {earliest_s!r} THEN 1 ELSE 0 END"))
    return not any(int(row[0]) for row in session.rows(" UNION ALL ".join(parts)))


def earliest_clock(view: TableView, state: SegmentState) -> float | None:
    """What the source's clock shows at least, in seconds since 1970, unless it was set back; None where it cannot be told."""
    look = last_look(state)
    if look is None or not view.dialect.clock_s or not is_time(view.cursor.columns[0], next_lower(state)):
        return None
    by_own_clock = time.time() + look.ahead_s - READERS_DIFFER_S if look.ahead_s is not None else 0.0
    return max(look.clock_s - STEP_S, by_own_clock)


def _source_without_filter(view: TableView, conditions: list[str]) -> str:
    return f"FROM {view.table}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
