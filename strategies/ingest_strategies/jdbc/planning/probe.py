"""The cheap probe of a table: sizes, key range, horizon, and counts above and below it. Reads no rows."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from pydantic import JsonValue

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import ConfigError, SourceDenied, SourceError, SourceUnavailable
from ingest_ray.sdk.types import Axis, Horizon, Interval, Position, SegmentState, UnitSpec
from ingest_strategies.jdbc.checks import key_spellings
from ingest_strategies.jdbc.dialect import Dialect, Session, TableSize
from ingest_strategies.jdbc.planning.lookback import lookback_window, next_lower, set_back_note, since_last_look
from ingest_strategies.jdbc.table_view import AxisView, TableView

log = logging.getLogger(__name__)

SEGMENT = "all"  # a table is one segment
COUNT_LIMIT = 100_000  # new rows are counted up to this: enough to distinguish a small run from a large one
SLICE_S = 60.0  # for a slow view or a distant server: a failed slice is read again, and many short slices keep all readers busy
UNBOUNDED = Interval()
DEFAULT_ROW_BYTES = 256.0  # for the first plan of a view, which has no statistics; readers correct it


@dataclass(frozen=True)
class CursorProbe:
    """The state of the cursor at the source, relative to what is committed and to the horizon."""

    horizon: Horizon
    next_lower: Position | None = None
    """Where the next advance begins: the end of the newest one that was planned, else the watermark."""
    new_rows: int = 0
    rows_above_horizon: int = 0
    null_rows: int = 0
    window: Interval | None = None
    window_rows: int = 0
    """Counts end just above `COUNT_LIMIT`: see `exact_count`."""
    warning: str | None = None


@dataclass(frozen=True)
class TableProbe:
    """Everything that scopes and cuts depend on; `session` is the open connection to the source."""

    session: Session
    view: TableView
    axis: Axis
    size: TableSize
    key_span: tuple[int, int] | None = None
    """Smallest and largest key, of a single integer key."""
    cursor: CursorProbe | None = None
    is_key_unique: bool = True
    """No two rows share the unit's key, or it has none."""

    @property
    def row_bytes(self) -> float:
        return max(1.0, self.view.spec.learned.bytes_per_row or self.size.bytes_per_row or DEFAULT_ROW_BYTES)

    @property
    def slice_rows(self) -> int:
        """The rows of a slice: its target of bytes, and no more than a reader has been measured to read in `SLICE_S`."""
        by_size = self.view.spec.policy.target_slice_bytes / self.row_bytes
        speed = self.view.spec.learned.rows_per_second
        return max(1, int(by_size if speed is None else min(by_size, speed * SLICE_S)))

    def with_learned(self, spec: UnitSpec) -> Self:
        """The same probe, with the sizes and speeds that readers have measured since."""
        if spec.learned == self.view.spec.learned:
            return self
        return replace(self, view=TableView(self.view.dialect, spec))


@contextmanager
def open_probe(dialect: Dialect, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    """Probes the table; keeps the connection, and with it the snapshot, open."""
    view = TableView(dialect, spec)
    state = known.get(SEGMENT)
    with dialect.open(spec.endpoint) as session:
        dialect.check_columns(session, spec.dataset, view.columns)
        horizon = None
        if view.is_incremental:
            column = view.cursor.columns[0]
            watermark = next_lower(state)
            horizon = dialect.horizon(session, spec, column, view.table, watermark)
        notes = dialect.notes(session, spec)
        snapshot = dialect.begin_snapshot(session, spec)
        if spec.policy.where:
            dialect.prepare_filter(session)
            check_filter(session, view)
        axis = view.load_axis(has_snapshot=snapshot is not None)
        is_key_unique = check_key_uniqueness(session, view, axis, state)
        size = dialect.size(session, spec)
        ends = key_span(session, view, axis)
        if ends is not None and size.rows is not None and view.is_unique(axis):
            # A unique whole key bounds the number of rows, even where old statistics exceed it.
            size = replace(size, rows=min(size.rows, ends[1] - ends[0] + 1))
        cursor = probe_cursor(session, view, state, horizon) if horizon is not None else None
        probe = TableProbe(session, view, axis, size, ends, cursor, is_key_unique)
        rows = size.rows
        yield Probe(
            strategy=dialect.template,
            rows=rows,
            bytes=int(rows * probe.row_bytes) if rows is not None else size.bytes,
            horizon=horizon,
            snapshot=snapshot,
            facts={
                **probe_facts(probe),
                "snapshot": "one for all slices" if snapshot else "no: each slice sees its own moment",
                **notes,
            },
            live=probe,
            check_connection=lambda: session.run(dialect.select_value("1")),
        )


def check_filter(session: Session, view: TableView) -> None:
    """Makes the database parse the policy's own filter, over no row. The table's columns were checked before."""
    try:
        session.rows(f"SELECT 1 AS one {view.source(['1 = 0'])}")
    except (SourceDenied, SourceUnavailable):
        raise
    except SourceError as error:
        raise ConfigError(f"{view.spec.unit_id}: field 'where': {error.message}", hint="see the policy") from None


def check_key_uniqueness(session: Session, view: TableView, axis: Axis, state: SegmentState | None) -> bool:
    """Whether no two rows share the unit's key. Where no constraint guarantees it, and it matters, one pass over the
    table counts: a first load by physical addresses can then insert instead of merge, and without a cursor no order decides
    which row stays.

    Raises:
        ConfigError: rows share it, and each of them would replace the others as it comes.
    """
    spec = view.spec
    if not view.spec.key or view.is_unique(Axis(kind="key", columns=view.spec.key)):
        return True
    is_arbitrary = not view.is_incremental and spec.policy.write is not None and spec.policy.write.merges
    is_first = view.is_incremental and axis.kind == "tid" and (state is None or not state.is_loaded)
    is_arbitrary = is_arbitrary or (bool(spec.dataset.facts.get("inherited")) and spec.write_mode.merges)
    if not is_arbitrary and not is_first:
        return False
    names = ", ".join(view.dialect.quote(name) for name in view.spec.key)
    shared_keys = f"SELECT count(*) AS n {view.source([])} GROUP BY {names} HAVING count(*) > 1"
    shared = int(session.rows(f"SELECT count(*) FROM ({shared_keys}) counted")[0][0])
    if shared and is_arbitrary:
        raise ConfigError(
            f"{spec.unit_id}: field 'primary_key': {', '.join(view.spec.key)} has {shared} values that several rows share",
            hint="name columns that no two rows share, or policy write: replace",
        )
    return not shared


def key_span(session: Session, view: TableView, axis: Axis) -> tuple[int, int] | None:
    """Two index look-ups, for a single integer key."""
    keys = view.axis(axis)
    if axis.kind != "key" or len(keys.columns) != 1 or keys.columns[0].kind != "int":
        return None
    low, high = end_position(session, view, keys), end_position(session, view, keys, is_last=True)
    if low is None or high is None or isinstance(low[0], str) or isinstance(high[0], str):
        return None
    return low[0], high[0]


def end_position(
    session: Session, view: TableView, axis: AxisView, interval: Interval = UNBOUNDED, *, is_last: bool = False
) -> Position | None:
    """The first position of an interval of the axis, or the last one."""
    order = ", ".join(f"{column.sql} DESC" if is_last else column.sql for column in axis.columns)
    end = view.dialect.limit_clause(1, order=f"ORDER BY {order}")
    rows = session.rows(f"SELECT {axis.positions} {view.source(axis.within(interval))} {end}")
    return axis.decode(rows[0]) if rows else None


def count_rows(session: Session, view: TableView, conditions: list[str]) -> int:
    """The number of rows, up to just above `COUNT_LIMIT`."""
    rows = f"SELECT 1 AS one {view.source(conditions)} {view.dialect.limit_clause(COUNT_LIMIT + 1)}"
    return int(session.rows(f"SELECT count(*) FROM ({rows}) counted")[0][0])


def exact_count(count: int) -> int | None:
    """None where counting ended at `COUNT_LIMIT`."""
    return count if count <= COUNT_LIMIT else None


def probe_cursor(session: Session, view: TableView, state: SegmentState | None, horizon: Horizon) -> CursorProbe:
    cursor, policy = view.cursor, view.spec.policy
    null_rows = count_rows(session, view, cursor.within(Interval(), nulls=True)) if cursor.nullable else 0
    if null_rows and policy.cursor_nulls == "raise":
        raise ConfigError(
            f"{view.spec.unit_id}: cursor '{cursor.columns[0].name}' is NULL in {null_rows} rows"
            f"{' or more' if null_rows > COUNT_LIMIT else ''}",
            hint="policy cursor_nulls: include or exclude",
        )
    if state is None or not state.is_loaded:
        return CursorProbe(horizon, null_rows=null_rows)
    horizon = horizon.model_copy(update={"clock": since_last_look(horizon.clock, state)})
    lower = next_lower(state)
    new, ahead = Interval(lower=lower, upper=horizon.value), Interval(lower=horizon.value)
    window = lookback_window(session, view, state, horizon.clock)
    warning = set_back_note(view, state, horizon.clock)
    if warning is not None:
        log.warning("%s", warning)
    return CursorProbe(
        horizon,
        next_lower=lower,
        new_rows=0 if lower == horizon.value else count_rows(session, view, cursor.within(new)),
        rows_above_horizon=0 if view.is_append else count_rows(session, view, cursor.within(ahead)),
        null_rows=null_rows,
        window=window,
        window_rows=count_rows(session, view, cursor.within(window)) if window else 0,
        warning=warning,
    )


def probe_facts(probe: TableProbe) -> dict[str, JsonValue]:
    facts: dict[str, JsonValue] = {
        "axis": probe.axis.kind,
        "key": list(probe.axis.columns),
        "bytes_per_row": round(probe.row_bytes, 1),
        "rows_per_slice": probe.slice_rows,
    }
    if inherited := probe.view.spec.dataset.facts.get("inherited"):
        facts["inherited"] = inherited
    if spellings := key_spellings(probe.view.spec):
        facts["key_spellings"] = dict(spellings)
    if probe.key_span:
        facts["first_key"], facts["last_key"] = probe.key_span
    if probe.cursor:
        facts["new_rows"], facts["rows_above_horizon"] = probe.cursor.new_rows, probe.cursor.rows_above_horizon
        facts["null_cursors"] = probe.cursor.null_rows
        if probe.cursor.warning:
            facts["warning"] = probe.cursor.warning
    return facts
