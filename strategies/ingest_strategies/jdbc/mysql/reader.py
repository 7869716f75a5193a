"""Reads one slice of MySQL: the server's own text of every value, a column at a time into the declared type."""

from collections.abc import Iterator

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset, Slice
from ingest_strategies.jdbc.dialect import FetchedBatch, Session
from ingest_strategies.jdbc.mysql.catalog import quoted
from ingest_strategies.jdbc.mysql.types import carrier_of
from ingest_strategies.jdbc.values.wire_text import SelectedColumn, fetch_columns


def fetch_rows(
    session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext
) -> Iterator[FetchedBatch]:
    return fetch_columns(session, selected_columns(dataset, context.schema.names), piece, source, context)


def selected_columns(dataset: Dataset, names: list[str]) -> list[SelectedColumn]:
    types, charsets = dataset.facts["types"], dataset.facts["charsets"]
    selected = []
    for name in names:
        column = dataset.column(name)
        if column is None or not isinstance(types, dict) or not isinstance(charsets, dict):
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        charset = charsets.get(name)
        form = carrier_of(str(types.get(name)), column.source_type, str(charset) if charset else None).select
        selected.append(SelectedColumn(column, form.format(quoted(name))))
    return selected
