"""SQL that most databases write alike; a dialect inherits it and overrides what its database writes otherwise."""

from contextlib import AbstractContextManager
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint, UnitSpec
from ingest_strategies.jdbc.dialect import AxisColumn, Session


def quoted(name: str) -> str:
    """A name as standard SQL, Oracle, and SQL Server under QUOTED_IDENTIFIER write it."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(value: str) -> str:
    """A text literal of standard SQL."""
    return "'" + value.replace("'", "''") + "'"


class StandardSql:
    clock_s = ""
    are_times_text = False

    def open(self, endpoint: Endpoint) -> AbstractContextManager[Session]:
        raise NotImplementedError

    def open_reader(self, spec: UnitSpec) -> AbstractContextManager[Session]:
        return self.open(spec.endpoint)

    def quote(self, name: str) -> str:
        return quoted(name)

    def limit_clause(self, limit: int, offset: int = 0, order: str = "") -> str:
        return f"{order} LIMIT {limit} OFFSET {offset}" if offset else f"{order} LIMIT {limit}"

    def remainder(self, value: str, divisor: int) -> str:
        return f"{value} % {divisor}"

    def select_value(self, expression: str) -> str:
        return f"SELECT {expression}"

    def table(self, dataset: Dataset) -> str:
        return f"{self.quote(str(dataset.facts['schema']))}.{self.quote(str(dataset.facts['table']))}"

    def qualified_column(self, dataset: Dataset, name: str) -> str:
        """Axis columns are qualified: `SELECT "k"::text ... ORDER BY "k"` would order by the text."""
        return f"{self.quote(str(dataset.facts['table']))}.{self.quote(name)}"

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        if value is None:
            raise ValueError(f"no value of cursor '{column.name}'")
        return int(value) if column.kind == "int" else str(value)

    def prepare_filter(self, session: Session) -> None:
        """Most databases resolve names alike in every session of one user."""

    def notes(self, session: Session, spec: UnitSpec) -> dict[str, JsonValue]:
        return {}

    def leave_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        """The transaction ends with the session."""
