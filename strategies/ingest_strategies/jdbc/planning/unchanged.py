"""Whether a table is at rest: nothing in it is above what was planned before. One statement, without horizon and snapshot.

Where it is, the run has nothing to read and moves no watermark, so that a transaction which is still open is found by a later
run. The answer errs on one side only: the policy's own filter is left out, which can only find more.
"""

from ingest_ray.sdk.types import Effect, SegmentState, UnitSpec
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.planning.probe import next_lower
from ingest_strategies.jdbc.table_view import TableView

_OWED = (Effect.ADVANCE, Effect.REPEAT)


def may_rest(spec: UnitSpec, state: SegmentState | None) -> bool:
    """Whether the question makes sense: nothing is unfinished, and there is a place from which on rows are new."""
    if state is None or not state.is_loaded or next_lower(state) is None:
        return False
    return bool(spec.policy.cursor) and not any(scope.effect in _OWED for scope in state.scopes)


def is_at_rest(dialect: Dialect, session: Session, spec: UnitSpec, state: SegmentState) -> bool:
    """The newest row decides, which an index names at once; and rows without a cursor, where they are read by every run."""
    view, lower = TableView(dialect, spec), next_lower(state)
    assert lower is not None
    column, policy = view.cursor.columns[0], spec.policy
    bound = dialect.earlier(column, lower[0], policy.lookback) if policy.lookback else dialect.literal(column, lower[0])
    has_value = [f"{column.sql} IS NOT NULL"] if column.is_nullable else []
    newest = (
        f"SELECT CASE WHEN {column.sql} >= {bound} THEN 1 ELSE 0 END AS moved {_from(view, has_value)}"
        f" {dialect.page(1, order=f'ORDER BY {column.sql} DESC')}"
    )
    parts = [f"SELECT moved FROM ({newest}) newest"]
    if column.is_nullable and policy.cursor_nulls != "exclude":
        missing = f"SELECT 1 AS moved {_from(view, [f'{column.sql} IS NULL'])} {dialect.page(1)}"
        parts.append(f"SELECT moved FROM ({missing}) missing")
    return not any(int(row[0]) for row in session.rows(" UNION ALL ".join(parts)))


def _from(view: TableView, conditions: list[str]) -> str:
    return f"FROM {view.table}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
