"""A mapper that is defined in ingest.yaml: for each field of a model one SQL expression over the unit's columns, in DuckDB's SQL.

    cdm: {models: {cdm.work.item: {cdm_id: "cdm_id('cdm.work.item', number)", summary: title, labels: "string_split(tags, ',')"}}}

The functions are those of https://duckdb.org/docs/stable/sql/functions/overview and `cdm_id(model, part)`. An expression sees one
row: no subquery, aggregate, window or clock, so that mapping a row again gives the same row. DuckDB runs them with external access
off and its configuration locked: an expression reaches no file, no network and no extension. `expression_limits` bounds what it makes of a row.
https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from ingest_ray.cdm.expression_limits import MOST_CHARS, find_excess
from ingest_ray.cdm.mapping import MapContext, ModelRows, batch_of, rejection_reason, row_values
from ingest_ray.cdm.models import KEY, MODELS, CdmModel, FieldType, model_of
from ingest_ray.sdk.errors import ConfigError, RecordError
from ingest_ray.sdk.types import CdmSettings, Model

PAGE_SECONDS = 60.0  # of the expressions of one model over one page; they take milliseconds
SETTINGS: dict[str, str | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "max_temp_directory_size": "0GB",  # nothing is written to the disk instead
    "disabled_optimizers": "expression_rewriter,statistics_propagation",  # a constant part would be computed when names are checked
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "python_enable_replacements": False,  # else an expression could read this program's variables
}
_CASTS: dict[FieldType, str] = {
    "text": "VARCHAR",
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "list": "VARCHAR[]",
    "json": "JSON",
}
_CLOCKS = frozenset(
    [
        "now",
        "today",
        "get_current_time",
        "get_current_timestamp",
        "current_date",
        "current_time",
        "current_timestamp",
        "current_localtime",
        "current_localtimestamp",
        "transaction_timestamp",
        "txid_current",
        "current_setting",
    ]
)


_impure_names: list[frozenset[str]] = []


class ExpressionFault(Model):
    """`field` is None where the model itself is wrong."""

    model_id: str
    field: str | None = None
    message: str


class ExpressionMapper:
    """Computes columns page by page; where that fails, row by row, so that only the bad row is rejected."""

    def __init__(self, settings: CdmSettings, system: str) -> None:
        self.version = f"expressions/{settings.version}"
        self.models = tuple(settings.models)
        self.keeps: tuple[str, ...] = ()
        self._settings = settings
        self._system = system

    def map(self, page: pa.RecordBatch, context: MapContext) -> Mapping[str, ModelRows]:
        mapped: dict[str, tuple[list[list[Any]], list[int]]] = {name: ([], []) for name in self.models}
        for position, made in self._rows(page, 0, context):
            for name, values in made.items():
                mapped[name][0].append(values)
                mapped[name][1].append(position)
        return {
            name: ModelRows(batch_of(model_of(name), rows), positions) for name, (rows, positions) in mapped.items()
        }

    def find_faults(self, schema: pa.Schema | None) -> Iterator[ExpressionFault]:
        """Checks names and grammar; with a dataset's schema also columns and types. Reads no row."""
        for name, fields in self._settings.models.items():
            if name not in MODELS:
                yield ExpressionFault(model_id=name, message=f"no such model; there are: {', '.join(MODELS)}")
                continue
            model = model_of(name)
            if KEY not in fields:
                yield ExpressionFault(model_id=name, message=f"'{KEY}' is required, such as cdm_id('{name}', number)")
            for field, text in fields.items():
                message = self._find_fault(model, field, text, schema)
                if message is not None:
                    yield ExpressionFault(model_id=name, field=field, message=message)

    def _find_fault(self, model: CdmModel, field: str, text: str, schema: pa.Schema | None) -> str | None:
        if field not in model.columns:
            return f"no such field; there are: {', '.join(model.columns)}"
        if len(text) > MOST_CHARS:
            return f"an expression has at most {MOST_CHARS:,} characters"
        try:
            expression = duckdb.SQLExpression(text)
        except duckdb.Error as error:
            return _first_line(error)
        refusal = self._find_impurity(text)
        if refusal is not None or schema is None:
            return refusal
        try:
            relation = self._connection.from_arrow(schema.empty_table())
            relation.select(expression.cast(duckdb.type(_CASTS[model.columns[field]])).alias(field)).fetchall()
        except duckdb.Error as error:
            return _first_line(error)
        return None

    def _find_impurity(self, text: str) -> str | None:
        """The reason why an expression is not a function of its row alone; None where it is."""
        ((parsed,),) = self._connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({text}\n)"]).fetchall()
        document = json.loads(parsed)
        if document.get("error"):
            return str(document.get("error_message", "not understood"))
        excess = find_excess(document["statements"][0]["node"]["select_list"])
        if excess is not None:
            return excess
        for node in _nodes(document["statements"][0]["node"]["select_list"]):
            kind, name = node.get("class"), str(node.get("function_name", "")).lower()
            if kind in ("SUBQUERY", "WINDOW", "STAR"):
                return f"a {kind.lower()} is more than a function of one row"
            if kind == "FUNCTION" and (name in self._impure_functions or name in _CLOCKS or name == "unnest"):
                return f"'{name}' does not give the same for the same row, or one value for each row"
            columns = node.get("column_names")
            if kind == "COLUMN_REF" and columns and str(columns[-1]).lower() in _CLOCKS:
                return f"'{columns[-1]}' does not give the same for the same row"
        return None

    @property
    def _impure_functions(self) -> frozenset[str]:
        if not _impure_names:  # DuckDB looks for 40 ms, and its functions stay the same
            _impure_names.append(_find_impure_functions(self._connection))
        return _impure_names[0]

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(":memory:", config=dict(SETTINGS))
        connection.execute("SET TimeZone = 'UTC'")
        system = self._system.replace("'", "''")
        connection.execute(
            f"CREATE MACRO cdm_id(model, part) AS replace(model, '.', ':') || ':{system}:' || CAST(part AS VARCHAR)"
        )
        connection.execute("SET lock_configuration = true")
        return connection

    def _rows(
        self, page: pa.RecordBatch, start: int, context: MapContext
    ) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        """Halves a page that fails until one row is left, which is rejected with the reason."""
        try:
            made = {name: self._compute(page, model_of(name)) for name in self.models}
        except (duckdb.Error, RecordError) as error:
            if page.num_rows <= 1:
                context.reject(
                    start,
                    rejection_reason(error) if isinstance(error, RecordError) else _first_line(error),
                    _column(error),
                )
                return
            half = page.num_rows // 2
            yield from self._rows(page.slice(0, half), start, context)
            yield from self._rows(page.slice(half), start + half, context)
            return
        for position in range(page.num_rows):
            yield start + position, {name: rows[position] for name, rows in made.items()}

    def _compute(self, page: pa.RecordBatch, model: CdmModel) -> list[list[Any]]:
        fields = self._settings.models[model.model_id]
        relation = self._connection.from_arrow(pa.Table.from_batches([page]))
        expressions = [
            duckdb.SQLExpression(text).cast(duckdb.type(_CASTS[model.columns[name]])).alias(name)
            for name, text in fields.items()
        ]
        watch = threading.Timer(PAGE_SECONDS, self._connection.interrupt)
        watch.daemon = True
        watch.start()
        try:
            rows = relation.select(*expressions).fetchall()
        except duckdb.InterruptException:
            raise ConfigError(
                f"the expressions of '{model.model_id}' took more than {PAGE_SECONDS:g} s for a page",
                hint="make them simpler, or map the unit in code",
            ) from None
        finally:
            watch.cancel()
        defaults = {"source_system": self._system} if "source_system" not in fields else {}
        return [row_values(model, {**defaults, **dict(zip(fields, row, strict=True))}) for row in rows]


def columns_of_expression(text: str, known: Collection[str]) -> list[str]:
    """Those of the known columns that an expression names, as `known` spells them; SQL ignores the case."""
    with closing(duckdb.connect(":memory:", config=dict(SETTINGS))) as connection:
        ((parsed,),) = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({text}\n)"]).fetchall()
    document = json.loads(parsed)
    nodes = _nodes(document["statements"][0]["node"]["select_list"]) if not document.get("error") else ()
    named = {str(node["column_names"][-1]).lower() for node in nodes if node.get("column_names")}
    return [name for name in known if name.lower() in named]


def _find_impure_functions(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Those of DuckDB that are no scalar function, or not the same for the same row."""
    impure = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type <> 'scalar' AND function_type <> 'macro'"
        " OR stability = 'VOLATILE'"
    ).fetchall()
    pure = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'scalar' AND"
        " coalesce(stability, '') <> 'VOLATILE'"
    ).fetchall()
    return frozenset(str(name).lower() for (name,) in impure) - {str(name).lower() for (name,) in pure}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _column(error: Exception) -> str | None:
    return error.column if isinstance(error, RecordError) else None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
