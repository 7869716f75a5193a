"""One cheap look at a table: sizes, key range, horizon, and what lies above and below it. Reads no rows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from pydantic import JsonValue

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import ConfigError, SourceDenied, SourceError, SourceUnavailable
from ingest_ray.sdk.types import Axis, Effect, Horizon, Interval, Position, SegmentState, UnitSpec, WriteMode
from ingest_strategies.jdbc.dialect import Dialect, Session, Size
from ingest_strategies.jdbc.table_view import AxisView, TableView

SEGMENT = "all"  # a table is one segment
COUNT_LIMIT = 100_000  # what is new is counted up to this: enough to tell a small run from a large one
SLICE_S = 60.0  # a slow view or a far server: what fails is read again, and many short slices keep all readers busy
DEFAULT_ROW_BYTES = 256.0  # for the first plan of a view, of which nothing is known; readers correct it


@dataclass(frozen=True)
class CursorLook:
    """What the source says about the cursor, relative to what is committed and to the horizon."""

    horizon: Horizon
    next_lower: Position | None = None
    """Where the next advance begins: the end of the newest one that was planned, else the watermark."""
    new_rows: int = 0
    ahead_rows: int = 0
    null_rows: int = 0
    window: Interval | None = None
    window_rows: int = 0
    """Counts end just above `COUNT_LIMIT`: see `estimate`."""


@dataclass(frozen=True)
class Look:
    """Everything that scopes and cuts are decided by; `session` is the open door to the source."""

    session: Session
    view: TableView
    axis: Axis
    size: Size
    span: tuple[int, int] | None = None
    """Smallest and largest key, of a single integer key."""
    cursor: CursorLook | None = None
    is_key_unique: bool = True
    """No two rows share the unit's key, or it has none."""

    @property
    def row_bytes(self) -> float:
        return max(1.0, self.view.spec.learned.bytes_per_row or self.size.bytes_per_row or DEFAULT_ROW_BYTES)

    @property
    def slice_rows(self) -> int:
        """What a slice is cut for: its target of bytes, and no more than a reader was seen to read in `SLICE_S`."""
        by_size = self.view.spec.policy.target_slice_bytes / self.row_bytes
        speed = self.view.spec.learned.rows_per_second
        return max(1, int(by_size if speed is None else min(by_size, speed * SLICE_S)))

    def relearned(self, spec: UnitSpec) -> Self:
        """The same look, with what readers have taught since."""
        if spec.learned == self.view.spec.learned:
            return self
        return replace(self, view=TableView(self.view.dialect, spec))


@contextmanager
def probed(dialect: Dialect, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    """Holds the connection, and with it the snapshot, open."""
    view = TableView(dialect, spec)
    state = known.get(SEGMENT)
    with dialect.open(spec.endpoint) as session:
        dialect.check_columns(session, spec.dataset, view.columns)
        horizon = None
        if view.is_incremental:
            column = view.cursor.columns[0]
            watermark = next_lower(state)
            horizon = dialect.horizon(session, spec, column, view.table, watermark)
        snapshot = dialect.begin(session, spec)
        if spec.policy.where:
            dialect.allow_filter(session)
            try_filter(session, view)
        axis = view.load_axis()
        is_key_unique = tells_rows_apart(session, view, axis, state)
        size = dialect.size(session, spec)
        ends = span(session, view, axis)
        if ends is not None and size.rows is not None and view.is_unique(axis):
            # Whole keys between two ends cannot be more rows than that, whatever old statistics say.
            size = replace(size, rows=min(size.rows, ends[1] - ends[0] + 1))
        cursor = look_at_cursor(session, view, state, horizon) if horizon is not None else None
        look = Look(session, view, axis, size, ends, cursor, is_key_unique)
        rows = size.rows
        yield Probe(
            strategy=dialect.template,
            rows=rows,
            bytes=int(rows * look.row_bytes) if rows is not None else size.bytes,
            horizon=horizon,
            snapshot=snapshot,
            facts={
                **facts(look),
                "snapshot": "one for all slices" if snapshot else "no: each slice sees its own moment",
            },
            live=look,
        )


def try_filter(session: Session, view: TableView) -> None:
    """Has the database read the policy's own filter, over no row. The table's columns are known to be there."""
    try:
        session.rows(f"SELECT 1 AS one {view.source(['1 = 0'])}")
    except (SourceDenied, SourceUnavailable):
        raise
    except SourceError as error:
        raise ConfigError(f"{view.spec.unit_id}: field 'where': {error.message}", hint="see the policy") from None


def tells_rows_apart(session: Session, view: TableView, axis: Axis, state: SegmentState | None) -> bool:
    """Whether no two rows share the unit's key. Where the database does not promise it, and it matters, one pass over the
    table tells: a first load by physical addresses then is no merge, and without a cursor nothing says which row stays.

    Raises:
        ConfigError: rows share it, and each of them would replace the others as it comes.
    """
    spec = view.spec
    if not view.spec.key or view.is_unique(Axis(kind="key", columns=view.spec.key)):
        return True
    is_arbitrary = not view.is_incremental and spec.policy.write is WriteMode.UPSERT
    is_first = view.is_incremental and axis.kind == "tid" and (state is None or not state.is_loaded)
    if not is_arbitrary and not is_first:
        return False
    names = ", ".join(view.dialect.quote(name) for name in view.spec.key)
    grouped = f"SELECT count(*) AS n {view.source([])} GROUP BY {names} HAVING count(*) > 1"
    shared = int(session.rows(f"SELECT count(*) FROM ({grouped}) counted")[0][0])
    if shared and is_arbitrary:
        raise ConfigError(
            f"{spec.unit_id}: field 'primary_key': {', '.join(view.spec.key)} has {shared} values that several rows share",
            hint="name the columns that tell rows apart, or policy write: replace",
        )
    return not shared


def next_lower(state: SegmentState | None) -> Position | None:
    if state is None:
        return None
    advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    return advances[-1].target.upper if advances else state.watermark


def span(session: Session, view: TableView, axis: Axis) -> tuple[int, int] | None:
    """Two index look-ups, for a single integer key."""
    keys = view.axis(axis)
    if axis.kind != "key" or len(keys.columns) != 1 or keys.columns[0].kind != "int":
        return None
    low, high = edge(session, view, keys, ""), edge(session, view, keys, " DESC")
    if low is None or high is None or isinstance(low[0], str) or isinstance(high[0], str):
        return None
    return low[0], high[0]


def edge(session: Session, view: TableView, axis: AxisView, direction: str) -> Position | None:
    """The first position of an axis, or with ` DESC` the last."""
    order = ", ".join(f"{column.sql}{direction}" for column in axis.columns)
    conditions = [f"{column.sql} IS NOT NULL" for column in axis.nullable]
    end = view.dialect.page(1, order=f"ORDER BY {order}")
    found = session.rows(f"SELECT {axis.positions} {view.source(conditions)} {end}")
    return axis.decode(found[0]) if found else None


def counted(session: Session, view: TableView, conditions: list[str]) -> int:
    """How many rows there are, up to just above `COUNT_LIMIT`."""
    rows = f"SELECT 1 AS one {view.source(conditions)} {view.dialect.page(COUNT_LIMIT + 1)}"
    return int(session.rows(f"SELECT count(*) FROM ({rows}) counted")[0][0])


def estimate(count: int) -> int | None:
    return count if count <= COUNT_LIMIT else None


def look_at_cursor(session: Session, view: TableView, state: SegmentState | None, horizon: Horizon) -> CursorLook:
    cursor, policy = view.cursor, view.spec.policy
    null_rows = counted(session, view, cursor.within(Interval(), nulls=True)) if cursor.nullable else 0
    if null_rows and policy.cursor_nulls == "raise":
        raise ConfigError(
            f"{view.spec.unit_id}: cursor '{cursor.columns[0].name}' is NULL in {null_rows} rows"
            f"{' or more' if null_rows > COUNT_LIMIT else ''}",
            hint="policy cursor_nulls: include or exclude",
        )
    if state is None or not state.is_loaded:
        return CursorLook(horizon, null_rows=null_rows)
    lower = next_lower(state)
    new, ahead = Interval(lower=lower, upper=horizon.value), Interval(lower=horizon.value)
    window = window_below(session, view, lower)
    return CursorLook(
        horizon,
        next_lower=lower,
        new_rows=0 if lower == horizon.value else counted(session, view, cursor.within(new)),
        ahead_rows=0 if view.is_append else counted(session, view, cursor.within(ahead)),
        null_rows=null_rows,
        window=window,
        window_rows=counted(session, view, cursor.within(window)) if window else 0,
    )


def window_below(session: Session, view: TableView, upper: Position | None) -> Interval | None:
    """The look-back below everything that was planned before; None where it is off."""
    span = view.spec.policy.lookback
    if not span or upper is None:
        return None
    column = view.cursor.columns[0]
    expression = view.dialect.earlier(column, upper[0], span)
    value = session.rows(view.dialect.scalar(view.dialect.position(column, expression)))[0][0]
    return Interval(lower=(view.dialect.decode(column, value),), upper=upper)


def facts(look: Look) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {
        "axis": look.axis.kind,
        "key": list(look.axis.columns),
        "bytes_per_row": round(look.row_bytes, 1),
        "rows_per_slice": look.slice_rows,
    }
    if look.span:
        found["first_key"], found["last_key"] = look.span
    if look.cursor:
        found["new_rows"], found["rows_above_horizon"] = look.cursor.new_rows, look.cursor.ahead_rows
        found["null_cursors"] = look.cursor.null_rows
    return found
