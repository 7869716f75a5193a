"""Reads rows again by their keys, and sums up keys, for a comparison of a table with a sink."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.key_sums import KeyRange, KeySum, sums_sql
from ingest_ray.sdk.types import Axis, Effect, SegmentState, Slice, UnitSpec
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Dialect
from ingest_strategies.jdbc.planning.probe import SEGMENT, key_span
from ingest_strategies.jdbc.sessions.queries import query_session
from ingest_strategies.jdbc.table_view import TableView

SINGLE_KEYS, COMPOSITE_KEYS = (
    1_000,
    100,
)  # of a statement: databases limit the items of a list, and the depth of a condition
SUMMED = (
    "jdbc.postgres",
    "jdbc.mysql",
    "jdbc.sqlite",
)  # whole numbers of 64 bits, and remainders with the dividend's sign


def look_up(
    dialect: Dialect,
    spec: UnitSpec,
    keys: pa.RecordBatch,
    context: ReadContext,
    known: Mapping[str, SegmentState] | None,
) -> Iterator[pa.RecordBatch]:
    columns = [_key_column(dialect, spec, name) for name in spec.key]
    due: list[str] = []
    view = TableView(dialect, _narrow(spec, context))
    if known is not None and view.is_incremental:
        state = known.get(SEGMENT)
        if state is None or state.watermark is None:
            return
        due = view.load_filters(Effect.LOAD, state.watermark)
    piece = Slice(segment=SEGMENT, scope_id="look-up", rank=(0,), axis=Axis(kind="whole"), effect=Effect.LOAD)
    values = [keys.column(name).to_pylist() for name in spec.key]
    rows = list(dict.fromkeys(zip(*values, strict=True)))
    most = SINGLE_KEYS if len(columns) == 1 else COMPOSITE_KEYS
    with dialect.open(spec.endpoint) as session:
        dialect.check_columns(session, spec.dataset, view.columns)
        if spec.policy.where:
            dialect.prepare_filter(session)
        for start in range(0, len(rows), most):
            source = view.source([_is_one_of(dialect, columns, rows[start : start + most]), *due])
            for fetched in dialect.read(session, view.spec, piece, source, context):
                yield fetched.batch


def _narrow(spec: UnitSpec, context: ReadContext) -> UnitSpec:
    policy = spec.policy.model_copy(update={"columns": tuple(context.schema.names)})
    return spec.model_copy(update={"config": spec.config.model_copy(update={"policy": policy})})


def _key_column(dialect: Dialect, spec: UnitSpec, name: str) -> AxisColumn:
    column = dialect.axis_column(spec.dataset, name, is_cursor=False)
    is_untyped_time = dialect.template == "jdbc.sqlite" and column is not None and column.kind in TIME_KINDS
    if column is None or column.kind == "other" or is_untyped_time:
        found = spec.dataset.column(name)
        raise ModeUnsupported(
            f"{spec.unit_id}: rows cannot be found by key column '{name}' of type '{found.source_type if found else '?'}'",
            hint="name another primary_key; or load the unit again: `ingest-ray reset`, then run",
        )
    if column.cast == "enum" and column.kind == "int":  # MySQL: ordered by number, and read as text
        return replace(column, kind="text", expression=dialect.quote(name))
    return column


def _is_one_of(dialect: Dialect, columns: Sequence[AxisColumn], rows: Sequence[tuple[Any, ...]]) -> str:
    whole = [row for row in rows if None not in row]
    parts = []
    if whole and len(columns) == 1:
        literals = ", ".join(dialect.literal(columns[0], position_item(columns[0], row[0])) for row in whole)
        parts.append(f"{columns[0].sql} IN ({literals})")
    elif whole:
        parts += [_equals(dialect, columns, row) for row in whole]
    parts += [_equals(dialect, columns, row) for row in rows if None in row]
    return f"({' OR '.join(parts)})"


def _equals(dialect: Dialect, columns: Sequence[AxisColumn], row: tuple[Any, ...]) -> str:
    terms = [
        f"{column.sql} IS NULL"
        if value is None
        else f"{column.sql} = {dialect.literal(column, position_item(column, value))}"
        for column, value in zip(columns, row, strict=True)
    ]
    return f"({' AND '.join(terms)})"


def position_item(column: AxisColumn, value: Any) -> int | str:
    """A value as Arrow gives it to Python, in the form that `Dialect.literal` takes."""
    match value:
        case bool() | int():
            return int(value) if column.kind == "int" else str(int(value))
        case Decimal():
            return int(value) if column.kind == "int" else f"{value:f}"
        case float():
            return repr(value)
        case bytes() if column.kind == "uuid":
            return str(UUID(bytes=value))
        case bytes():
            return value.hex()
        case str() if column.kind == "int":
            return int(value)
        case str() | UUID():
            return str(value)
        case _:
            return str(value.isoformat())


def find_key_span(dialect: Dialect, spec: UnitSpec) -> tuple[int, int] | None:
    """None where the key is not one whole number that no two rows share, and that is never NULL."""
    if dialect.template not in SUMMED or len(spec.key) != 1:
        return None
    column = dialect.axis_column(spec.dataset, spec.key[0], is_cursor=False)
    view, axis = TableView(dialect, spec), Axis(kind="key", columns=spec.key)
    if (
        column is None
        or column.kind != "int"
        or column.cast == "enum"
        or column.is_nullable
        or not view.is_unique(axis)
    ):
        return None
    if spec.policy.where:
        return None  # a filter may need settings of its own, and would be evaluated for each row anyway
    return query_session(dialect, spec.endpoint, lambda session: key_span(session, view, axis))


def sum_keys(dialect: Dialect, spec: UnitSpec, keys: KeyRange) -> Mapping[int, KeySum]:
    view = TableView(dialect, spec)
    column = view.axis(Axis(kind="key", columns=spec.key)).columns[0]
    sql = sums_sql(column.sql, keys, f"FROM {view.table} WHERE 1 = 1", dialect.remainder)
    with dialect.open(spec.endpoint) as session:
        return {_number(block) // keys.step: KeySum(*map(_number, numbers)) for block, *numbers in session.rows(sql)}


def _number(value: Any) -> int:
    return value if isinstance(value, int) else int(Decimal(str(value)))
