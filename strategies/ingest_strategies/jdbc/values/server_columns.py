"""The catalog's facts on the columns of a table whose values the server sends as text.

`facts["columns"]`: name -> [kind, cast, expression in a SELECT]; `facts["collations"]`: name -> collation of text.
"""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset, Slice
from ingest_strategies.jdbc.catalog_rows import is_indexed
from ingest_strategies.jdbc.dialect import AxisColumn, FetchedBatch, Session
from ingest_strategies.jdbc.standard_sql import quoted
from ingest_strategies.jdbc.values.column_carriers import ColumnCarrier
from ingest_strategies.jdbc.values.wire_text import SelectedColumn, fetch_columns


def column_facts(columns: Mapping[str, ColumnCarrier]) -> dict[str, JsonValue]:
    return {name: [carrier.kind, carrier.cast, carrier.select] for name, carrier in columns.items()}


def column_fact(dataset: Dataset, name: str) -> tuple[str, str, str] | None:
    columns = dataset.facts.get("columns")
    fact = columns.get(name) if isinstance(columns, dict) else None
    return (str(fact[0]), str(fact[1]), str(fact[2])) if isinstance(fact, list) else None


def collation_of(dataset: Dataset, name: str) -> str:
    collations = dataset.facts.get("collations")
    collation = collations.get(name) if isinstance(collations, dict) else None
    return str(collation) if collation else ""


def has_plain_index(dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
    """Whether an index orders by these columns in their own collation."""
    return not any(column.collation for column in columns) and is_indexed(dataset, [column.name for column in columns])


def fetch_rows(
    session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext
) -> Iterator[FetchedBatch]:
    table = quoted(str(dataset.facts["table"]))
    items = []
    for name in context.schema.names:
        column, fact = dataset.column(name), column_fact(dataset, name)
        if column is None or fact is None:
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        items.append(SelectedColumn(column, fact[2].format(f"{table}.{quoted(name)}")))
    return fetch_columns(session, items, piece, source, context)
