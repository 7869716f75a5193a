"""The names of columns in a database, where a source's name is none there, and the number of columns that a table may have.

A name that is too long is cut and ends with a hash of the whole name, as names of tables do. The certificate says so.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import ColumnFit, Fidelity, Target
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS

HASH_CHARS = 8
SHOWN_COLUMNS = 3  # of those that are too many


@dataclass(frozen=True)
class ColumnLimits:
    """`name_bytes`, `name_chars`: the longest name; `columns`: those of a table, with the sink's own. None: no limit.

    `width`: the bytes of a column, by its type, in a row of at most `row_bytes`, as `CREATE TABLE` counts them.
    """

    sink: str
    name_bytes: int | None = None
    name_chars: int | None = None
    has_plain_names: bool = False
    """A name has no character above U+FFFF, and does not end with a blank."""
    columns: int | None = None
    width: Callable[[str], float] | None = None
    row_bytes: int = 0

    def sink_name(self, name: str) -> str:
        if self._is_name(name):
            return name
        beginning = name
        if self.has_plain_names:
            beginning = "".join(char if char <= "\uffff" else "_" for char in beginning)
        if self.name_chars is not None:
            beginning = beginning[: self.name_chars - HASH_CHARS - 1]
        if self.name_bytes is not None:
            beginning = beginning.encode()[: self.name_bytes - HASH_CHARS - 1].decode(errors="ignore")
        return f"{beginning}_{hashlib.sha256(name.encode()).hexdigest()[:HASH_CHARS]}"

    def _is_name(self, name: str) -> bool:
        if not name or "\0" in name:
            return False
        if self.has_plain_names and (name[-1] == " " or max(name) > "\uffff"):
            return False
        is_short = self.name_chars is None or len(name) <= self.name_chars
        return is_short and (self.name_bytes is None or len(name.encode()) <= self.name_bytes)

    def fit(self, lines: Sequence[ColumnFit]) -> list[ColumnFit]:
        """Adds names that are others in the sink, and refuses the columns that are too many."""
        fitting, reason = self._fitting(lines)
        return [self._named(line) for line in lines[:fitting]] + [
            self._refused(line, reason) for line in lines[fitting:]
        ]

    def _fitting(self, lines: Sequence[ColumnFit]) -> tuple[int, str]:
        """How many columns fit, and why no more do."""
        count = fitting = len(lines)
        reason = ""
        if self.columns is not None and count > self.columns - len(PROVENANCE_COLUMNS):
            fitting = self.columns - len(PROVENANCE_COLUMNS)
            reason = f"a table of {self.sink} has at most {self.columns} columns, {len(PROVENANCE_COLUMNS)} of them this sink's"
        total = 0.0
        for index, line in enumerate(lines[:fitting] if self.width is not None else ()):
            total += self.width(line.sink_type) if self.width is not None else 0
            if total > self.row_bytes:
                return index, f"a row of {self.sink} has no room for more columns of these types"
        return fitting, reason

    def _refused(self, line: ColumnFit, reason: str) -> ColumnFit:
        return line.model_copy(update={"fidelity": Fidelity.REFUSED, "note": reason})

    def _named(self, line: ColumnFit) -> ColumnFit:
        name = self.sink_name(line.column)
        if name == line.column:
            return line
        note = f"named '{name}', for {self.sink} has no such name"
        return line.model_copy(update={"note": f"{line.note}; {note}" if line.note else note})

    # --- names

    def renamed_schema(self, schema: pa.Schema) -> pa.Schema:
        names = [self.sink_name(name) for name in schema.names]
        if names == schema.names:
            return schema
        return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])

    def renamed_target(self, target: Target) -> Target:
        key = tuple(self.sink_name(name) for name in target.key)
        version = None if target.version_column is None else self.sink_name(target.version_column)
        if (key, version) == (target.key, target.version_column):
            return target
        return target.model_copy(update={"key": key, "version_column": version})


def refuse_too_many_columns(lines: Sequence[ColumnFit]) -> None:
    """Raises `SinkRejected` where a table of these columns cannot be created."""
    refused = [line for line in lines if line.fidelity is Fidelity.REFUSED]
    if refused:
        named = ", ".join(f"'{line.column}'" for line in refused[:SHOWN_COLUMNS])
        more = f" and {len(refused) - SHOWN_COLUMNS} more" if len(refused) > SHOWN_COLUMNS else ""
        raise SinkRejected(f"columns {named}{more} cannot be kept: {refused[0].note}", hint="policy.columns")
