"""Cuts one gap into pieces: by arithmetic where whole keys are dense, else at keys that the database returns.

A boundary is always a position that the database returned, or a whole number between two of them; this module never compares
positions.
"""

from collections.abc import Iterator

from pydantic import JsonValue

from ingest_ray.sdk.types import Interval, Piece, Position, Scope
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.planning.probe import TableProbe, end_position
from ingest_strategies.jdbc.table_view import AxisView, TableView

DENSE = 2.0
"""Up to this many keys per row, boundaries are steps of whole numbers, which cost no query: a slice then holds at least half of
its rows. Beyond it, gaps in the keys would make slices of very different sizes."""


def cut_gap(probe: TableProbe, scope: Scope, gap: Interval) -> Iterator[Piece]:
    if scope.nulls or scope.axis.kind == "whole":
        yield Piece(interval=gap, estimated_rows=scope.estimated_rows, hints=piece_hints(probe, scope, is_atom=True))
        return
    positions, rows = find_boundaries(probe, scope, gap)
    is_exact = has_dense_key(probe, scope)
    lower = gap.lower
    for position in positions:
        yield make_piece(
            probe, scope, Interval(lower=lower, upper=position), rows, is_exact=is_exact and lower is not None
        )
        lower = position
    if is_exact and probe.key_span and lower is not None and gap.upper is None:
        rows = min(rows, max(0, probe.key_span[1] - int(lower[0]) + 1))
    yield make_piece(probe, scope, Interval(lower=lower, upper=gap.upper), rows)


def make_piece(probe: TableProbe, scope: Scope, interval: Interval, rows: int, is_exact: bool = False) -> Piece:
    """`max_rows` in the hints is the number of rows that the piece was cut for."""
    rows = min([rows, *(known for known in (probe.size.rows, scope.estimated_rows) if known is not None)])
    return Piece(
        interval=interval,
        estimated_rows=rows,
        estimated_bytes=int(rows * probe.row_bytes),
        hints=piece_hints(probe, scope, max_rows=probe.slice_rows, **({"is_exact": True} if is_exact else {})),
    )


def piece_hints(probe: TableProbe, scope: Scope, **more: int | bool) -> dict[str, JsonValue]:
    """The reader's hints besides the interval. `below`: a first load into a sink without a key stops at the horizon."""
    values: dict[str, JsonValue] = {"row_bytes": round(probe.row_bytes, 2), **more}
    if probe.cursor is not None and scope.horizon is not None and probe.view.is_append:
        values["below"] = list(scope.horizon)
    return values


def find_boundaries(probe: TableProbe, scope: Scope, gap: Interval) -> tuple[Iterator[Position], int]:
    """The boundaries inside a gap, and the number of rows between two of them."""
    rows = probe.slice_rows
    if scope.axis.kind == "tid":
        return block_boundaries(probe, gap, rows)
    axis = probe.view.axis(scope.axis)
    if probe.key_span and has_dense_key(probe, scope):
        return step_boundaries(gap, *probe.key_span, rows), rows
    if probe.view.dialect.has_cheap_offset and probe.view.dialect.has_index(probe.view.spec.dataset, axis.columns):
        return offset_boundaries(probe, axis, gap, rows), rows
    return sorted_boundaries(probe, axis, gap, rows), rows


def has_dense_key(probe: TableProbe, scope: Scope) -> bool:
    if scope.axis.kind != "key" or not probe.key_span or not probe.size.rows or not probe.view.is_unique(scope.axis):
        return False
    first, last = probe.key_span
    return (last - first + 1) / probe.size.rows <= DENSE


def step_boundaries(gap: Interval, first: int, last: int, rows: int) -> Iterator[Position]:
    """Steps of a unique whole key: a step cannot hold more rows than keys."""
    start = first if gap.lower is None else int(gap.lower[0])
    end = last if gap.upper is None else min(last, int(gap.upper[0]) - 1)
    for key in range(start + rows, end + 1, rows):
        yield (key,)


def block_boundaries(probe: TableProbe, gap: Interval, rows: int) -> tuple[Iterator[Position], int]:
    """Blocks of a heap, under one snapshot; the last piece is open, although the snapshot shows no newer rows in it."""
    blocks = probe.size.blocks or 0
    per_block = max(1.0, (probe.size.rows or 0) / blocks) if blocks else 1.0
    # Old statistics may be wrong, but the size of a block is exact: no slice has more heap than its target.
    most_blocks = probe.view.spec.policy.target_slice_bytes // probe.size.block_bytes
    step = max(1, min(int(rows / per_block), most_blocks))
    start = 0 if gap.lower is None else int(gap.lower[0])
    end = blocks if gap.upper is None else min(blocks, int(gap.upper[0]))
    return (((block,)) for block in range(start + step, end, step)), int(step * per_block)


def offset_boundaries(probe: TableProbe, axis: AxisView, gap: Interval, rows: int) -> Iterator[Position]:
    """One index look-up per boundary, lazily."""
    rest = gap
    while (position := next_boundary(probe.session, probe.view, axis, rest, rows)) is not None:
        yield position
        rest = Interval(lower=position, upper=gap.upper)


def next_boundary(session: Session, view: TableView, axis: AxisView, gap: Interval, rows: int) -> Position | None:
    """The key `rows` further along the axis, or None where the gap ends before. It lies strictly above the gap's first
    key: a group of ties that is larger than a slice becomes one slice."""
    lower = gap.lower or end_position(session, view, axis, gap)
    if lower is None:
        return None
    conditions = axis.within(Interval(lower=lower, upper=gap.upper))
    is_above = f"CASE WHEN {axis.compare('>', lower)} THEN 1 ELSE 0 END"
    boundary = session.rows(
        f"SELECT {axis.positions}, {is_above} {view.source(conditions)} {view.dialect.limit_clause(1, rows, axis.order)}"
    )
    if boundary and not boundary[0][-1]:
        conditions = [*axis.within(Interval(upper=gap.upper)), axis.compare(">", lower)]
        end = view.dialect.limit_clause(1, order=axis.order)
        boundary = session.rows(f"SELECT {axis.positions} {view.source(conditions)} {end}")
    return axis.decode(boundary[0]) if boundary else None


def sorted_boundaries(probe: TableProbe, axis: AxisView, gap: Interval, rows: int) -> Iterator[Position]:
    """All boundaries from one sorted pass, for an axis without an index: a look-up per boundary would sort each time."""
    lower = end_position(probe.session, probe.view, axis, gap)
    if lower is None:
        return
    conditions = [*axis.within(gap), axis.compare(">=", lower)]
    names = [f"k{index}" for index in range(len(axis.columns))]
    keys = ", ".join(f"{column.sql} AS {name}" for column, name in zip(axis.columns, names, strict=True))
    ranked = f"SELECT {keys}, row_number() OVER ({axis.order}) AS place {probe.view.source(conditions)}"
    inner = AxisView(axis.dialect, tuple(c.with_expression(name) for c, name in zip(axis.columns, names, strict=True)))
    is_above = inner.compare(">", lower)
    sql = (
        f"SELECT {inner.positions} FROM (SELECT DISTINCT {', '.join(names)} FROM ({ranked}) ranked"
        f" WHERE {axis.dialect.remainder('place', rows)} = {1 % rows} AND {is_above}) cuts {inner.order}"
    )
    for row in probe.session.rows(sql):
        position = axis.decode(row)
        if position is None:
            return
        yield position
