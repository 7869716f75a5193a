"""Cuts one gap into pieces: by arithmetic where whole keys lie dense, else at keys that the database names.

A boundary is always a position that the database gave or a whole number between two that it gave; the order of two
positions is never decided here.
"""

from collections.abc import Iterator

from pydantic import JsonValue

from ingest_ray.sdk.types import Interval, Piece, Position, Scope
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.planning.probe import Look
from ingest_strategies.jdbc.table_view import AxisView, TableView

DENSE = 2.0
"""Up to this many keys per row, steps of whole numbers are as good as a walk and cost no query: a slice then holds at
least half of what it could. Beyond it, gaps in the keys would make slices of very different size."""


def pieces(look: Look, scope: Scope, gap: Interval) -> Iterator[Piece]:
    if scope.nulls or scope.axis.kind == "whole":
        yield Piece(interval=gap, estimated_rows=scope.estimated_rows, hints=hints(look, scope, is_atom=True))
        return
    cuts, rows = boundaries(look, scope, gap)
    is_exact = is_stepped(look, scope)
    lower = gap.lower
    for position in cuts:
        yield piece(look, scope, Interval(lower=lower, upper=position), rows, is_exact=is_exact and lower is not None)
        lower = position
    if is_exact and look.span and lower is not None and gap.upper is None:
        rows = min(rows, max(0, look.span[1] - int(lower[0]) + 1))
    yield piece(look, scope, Interval(lower=lower, upper=gap.upper), rows)


def piece(look: Look, scope: Scope, interval: Interval, rows: int, is_exact: bool = False) -> Piece:
    """One piece. `max_rows` is how many rows it had when it was cut."""
    rows = min([rows, *(known for known in (look.size.rows, scope.estimated_rows) if known is not None)])
    return Piece(
        interval=interval,
        estimated_rows=rows,
        estimated_bytes=int(rows * look.row_bytes),
        hints=hints(look, scope, max_rows=look.slice_rows, **({"is_exact": True} if is_exact else {})),
    )


def hints(look: Look, scope: Scope, **more: int | bool) -> dict[str, JsonValue]:
    """What the reader needs besides the interval. `below`: a first load into a sink without a key stops at the horizon."""
    found: dict[str, JsonValue] = {"row_bytes": round(look.row_bytes, 2), **more}
    if look.cursor is not None and scope.horizon is not None and look.view.is_append:
        found["below"] = list(scope.horizon)
    return found


def boundaries(look: Look, scope: Scope, gap: Interval) -> tuple[Iterator[Position], int]:
    """The cuts of a gap, and the rows between two of them."""
    rows = look.slice_rows
    if scope.axis.kind == "tid":
        return by_blocks(look, gap, rows)
    axis = look.view.axis(scope.axis)
    if look.span and is_stepped(look, scope):
        return by_steps(gap, *look.span, rows), rows
    if look.view.dialect.has_cheap_offset and look.view.dialect.has_index(look.view.spec.dataset, axis.columns):
        return walked(look, axis, gap, rows), rows
    return listed(look, axis, gap, rows), rows


def is_stepped(look: Look, scope: Scope) -> bool:
    if scope.axis.kind != "key" or not look.span or not look.size.rows or not look.view.is_unique(scope.axis):
        return False
    first, last = look.span
    return (last - first + 1) / look.size.rows <= DENSE


def by_steps(gap: Interval, first: int, last: int, rows: int) -> Iterator[Position]:
    """Steps of a unique whole key: none can hold more rows than keys."""
    start = first if gap.lower is None else int(gap.lower[0])
    end = last if gap.upper is None else min(last, int(gap.upper[0]) - 1)
    for key in range(start + rows, end + 1, rows):
        yield (key,)


def by_blocks(look: Look, gap: Interval, rows: int) -> tuple[Iterator[Position], int]:
    """Blocks of a heap, under one snapshot; the last piece is open, though nothing new is visible in it."""
    blocks = look.size.blocks or 0
    per_block = max(1.0, (look.size.rows or 0) / blocks) if blocks else 1.0
    # Old statistics may be far off, a block's size is not: no slice has more heap than its target.
    most = look.view.spec.policy.target_slice_bytes // look.size.block_bytes
    step = max(1, min(int(rows / per_block), most))
    start = 0 if gap.lower is None else int(gap.lower[0])
    end = blocks if gap.upper is None else min(blocks, int(gap.upper[0]))
    return (((block,)) for block in range(start + step, end, step)), int(step * per_block)


def walked(look: Look, axis: AxisView, gap: Interval, rows: int) -> Iterator[Position]:
    """One look-up per boundary, lazily."""
    rest = gap
    while (position := next_cut(look.session, look.view, axis, rest, rows)) is not None:
        yield position
        rest = Interval(lower=position, upper=gap.upper)


def next_cut(session: Session, view: TableView, axis: AxisView, gap: Interval, rows: int) -> Position | None:
    """The key `rows` further along the axis, or None where the gap ends before. It lies strictly above the gap's first
    key: a group of ties that is larger than a slice becomes one slice."""
    lower = gap.lower or first_of(session, view, axis, gap)
    if lower is None:
        return None
    conditions = axis.within(Interval(lower=lower, upper=gap.upper))
    is_above = f"CASE WHEN {axis.compare('>', lower)} THEN 1 ELSE 0 END"
    found = session.rows(
        f"SELECT {axis.positions}, {is_above} {view.source(conditions)} {view.dialect.page(1, rows, axis.order)}"
    )
    if found and not found[0][-1]:
        above = [*axis.within(Interval(upper=gap.upper)), axis.compare(">", lower)]
        found = session.rows(f"SELECT {axis.positions} {view.source(above)} {view.dialect.page(1, order=axis.order)}")
    return axis.decode(found[0]) if found else None


def first_of(session: Session, view: TableView, axis: AxisView, gap: Interval) -> Position | None:
    found = session.rows(
        f"SELECT {axis.positions} {view.source(axis.within(gap))} {view.dialect.page(1, order=axis.order)}"
    )
    return axis.decode(found[0]) if found else None


def listed(look: Look, axis: AxisView, gap: Interval, rows: int) -> Iterator[Position]:
    """All boundaries from one sorted pass, for an axis without an index: a walk would sort once per boundary."""
    lower = first_of(look.session, look.view, axis, gap)
    if lower is None:
        return
    conditions = [*axis.within(gap), axis.compare(">=", lower)]
    names = [f"k{index}" for index in range(len(axis.columns))]
    keys = ", ".join(f"{column.sql} AS {name}" for column, name in zip(axis.columns, names, strict=True))
    ranked = f"SELECT {keys}, row_number() OVER ({axis.order}) AS place {look.view.source(conditions)}"
    inner = AxisView(axis.dialect, tuple(c.renamed(name) for c, name in zip(axis.columns, names, strict=True)))
    above = inner.compare(">", lower)
    sql = (
        f"SELECT {inner.positions} FROM (SELECT DISTINCT {', '.join(names)} FROM ({ranked}) ranked"
        f" WHERE {axis.dialect.remainder('place', rows)} = {1 % rows} AND {above}) cuts {inner.order}"
    )
    for row in look.session.rows(sql):
        position = axis.decode(row)
        if position is None:
            return
        yield position
