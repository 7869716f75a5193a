"""A unit's table in SQL: its axes, the conditions of an interval, the filters of a policy."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.types import Axis, Effect, Interval, Position, RunMode, UnitSpec, WriteMode
from ingest_strategies.jdbc.dialect import CURSOR_KINDS, KEY_KINDS, AxisColumn, Dialect


@dataclass(frozen=True)
class AxisView:
    """Conditions along one axis. The database compares: positions are passed to it as literals of the column's type."""

    dialect: Dialect
    columns: tuple[AxisColumn, ...]

    @property
    def expressions(self) -> str:
        return ", ".join(column.sql for column in self.columns)

    @property
    def order(self) -> str:
        return f"ORDER BY {self.expressions}"

    @property
    def positions(self) -> str:
        return ", ".join(self.dialect.position(column, column.sql) for column in self.columns)

    def decode(self, row: tuple[object, ...]) -> Position | None:
        """The position of one row of `positions`; None where one of its items has no position."""
        items = row[: len(self.columns)]
        if any(item is None for item in items):
            return None
        return tuple(self.dialect.decode(column, item) for column, item in zip(self.columns, items, strict=True))

    def literals(self, position: Position) -> str:
        return ", ".join(self.dialect.literal(c, value) for c, value in zip(self.columns, position, strict=True))

    def compare(self, operator: str, position: Position) -> str:
        if len(self.columns) == 1:
            return f"{self.expressions} {operator} {self.literals(position)}"
        if self.dialect.has_row_values:
            # PostgreSQL estimates that two row comparisons select a quarter of the table, and then scans all of it for each slice; for
            # two bounds on one column its estimate is good. The extra bounds follow from the row comparisons.
            first = f"{self.columns[0].sql} {operator[0]}= {self.dialect.literal(self.columns[0], position[0])}"
            return f"({first} AND ({self.expressions}) {operator} ({self.literals(position)}))"
        return self._without_row_values(operator, position)

    def _without_row_values(self, operator: str, position: Position) -> str:
        """`(a, b) >= (1, 2)` as `a > 1 OR (a = 1 AND b >= 2)`, with a first condition that an index can use."""
        strict = operator[0]
        last = len(self.columns) - 1
        pairs = [(c.sql, self.dialect.literal(c, value)) for c, value in zip(self.columns, position, strict=True)]
        cases = []
        for index, (sql, literal) in enumerate(pairs):
            equal = [f"{column} = {value}" for column, value in pairs[:index]]
            cases.append(" AND ".join([*equal, f"{sql} {operator if index == last else strict} {literal}"]))
        return f"({pairs[0][0]} {strict}= {pairs[0][1]} AND ({' OR '.join(f'({case})' for case in cases)}))"

    @property
    def nullable(self) -> tuple[AxisColumn, ...]:
        return tuple(column for column in self.columns if column.is_nullable)

    def within(self, interval: Interval, nulls: bool = False) -> list[str]:
        """The conditions of `[lower, upper)`, without the rows that have a NULL on the axis; or exactly those."""
        if nulls:
            return [f"({' OR '.join(f'{column.sql} IS NULL' for column in self.nullable)})"]
        conditions = [f"{column.sql} IS NOT NULL" for column in self.nullable]
        if interval.lower is not None:
            conditions.append(self.compare(">=", interval.lower))
        if interval.upper is not None:
            conditions.append(self.compare("<", interval.upper))
        return conditions


@dataclass(frozen=True)
class TableView:
    """A unit's table. Makes no request; the same for planner and reader."""

    dialect: Dialect
    spec: UnitSpec

    @cached_property
    def table(self) -> str:
        return self.dialect.table(self.spec.dataset)

    @property
    def columns(self) -> list[str]:
        """The columns to read: the selected ones, and the cursor."""
        names = schema_of(self.spec.dataset, self.spec.policy.columns or None).names
        return [*names, *([self.spec.policy.cursor] if self.is_incremental and self.spec.policy.cursor else [])]

    @property
    def is_incremental(self) -> bool:
        return self.spec.config.run_mode is RunMode.INCREMENTAL

    @property
    def is_append(self) -> bool:
        return self.spec.write_mode is WriteMode.APPEND

    @cached_property
    def cursor(self) -> AxisView:
        name = self.spec.policy.cursor
        column = self.dialect.axis_column(self.spec.dataset, name, is_cursor=True) if name else None
        if column is None or column.kind not in CURSOR_KINDS:
            raise ModeUnsupported(f"{self.spec.unit_id}: column '{name}' cannot be a cursor")
        return AxisView(self.dialect, (column,))

    def axis(self, axis: Axis) -> AxisView:
        if axis.kind == "whole":
            return AxisView(self.dialect, ())
        if axis.kind == "cursor":
            return self.cursor
        columns = [self.dialect.axis_column(self.spec.dataset, name, is_cursor=False) for name in axis.columns]
        return AxisView(self.dialect, tuple(column for column in columns if column is not None))

    def source(self, conditions: list[str]) -> str:
        """Everything from FROM on, with the policy's own filter."""
        where = self.spec.policy.where
        all_conditions = [*conditions, *([f"({where}\n)"] if where else [])]
        return f"FROM {self.table}" + (f" WHERE {' AND '.join(all_conditions)}" if all_conditions else "")

    def load_filters(self, effect: Effect, below: Position | None) -> list[str]:
        """The conditions that leave rows of a first load to later runs, or leave them out."""
        if effect is not Effect.LOAD or not self.is_incremental:
            return []
        cursor, nulls = self.cursor, self.spec.policy.cursor_nulls
        column = cursor.columns[0]
        if below is not None:
            bound = cursor.compare("<", below)
            return [f"({bound} OR {column.sql} IS NULL)" if column.is_nullable and nulls == "include" else bound]
        return [f"{column.sql} IS NOT NULL"] if column.is_nullable and nulls == "exclude" else []

    def candidate_keys(self) -> Iterator[tuple[str, ...]]:
        """Unique keys of this table in the order of preference; only those whose every column has a reliable order."""
        dataset = self.spec.dataset
        keys = [dataset.primary_key, *sorted(dataset.unique_keys, key=lambda key: (self._nullables(key), len(key)))]
        for key in keys:
            columns = [self.dialect.axis_column(dataset, name, is_cursor=False) for name in key]
            if key and all(column is not None and column.kind in KEY_KINDS for column in columns):
                yield key

    def _nullables(self, key: tuple[str, ...]) -> int:
        columns = [self.spec.dataset.column(name) for name in key]
        return sum(column is None or column.nullable for column in columns)

    def load_axis(self, *, has_snapshot: bool) -> Axis:
        """The axis that a whole table is cut along; physical addresses only where all slices see one snapshot."""
        for key in self.candidate_keys():
            return Axis(kind="key", columns=key)
        facts = self.spec.dataset.facts
        if isinstance(rowid := facts.get("rowid"), str):
            return Axis(kind="key", columns=(rowid,))
        if facts.get("has_tid") and has_snapshot:
            return Axis(kind="tid", columns=("ctid",))
        return Axis(kind="whole")

    def is_unique(self, axis: Axis) -> bool:
        names = set(axis.columns)
        dataset = self.spec.dataset
        if axis.columns == (dataset.facts.get("rowid"),):
            return True
        return any(key and set(key) <= names for key in (dataset.primary_key, *dataset.unique_keys))
