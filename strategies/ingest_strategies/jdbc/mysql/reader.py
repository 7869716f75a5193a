"""Reads one slice of MySQL: values in the declared types, or, in a batch with a value that is of none, the server's own text."""

from collections.abc import Iterator

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset, Slice
from ingest_strategies.jdbc.dialect import FetchedBatch, Session
from ingest_strategies.jdbc.mysql.catalog import quoted
from ingest_strategies.jdbc.mysql.session import mysql_session
from ingest_strategies.jdbc.mysql.types import carrier_of
from ingest_strategies.jdbc.values.wire_text import SelectedColumn, convert_batch, select_statement


def fetch_rows(
    session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext
) -> Iterator[FetchedBatch]:
    selected = selected_columns(dataset, context.schema.names)
    statement = select_statement(selected, source)
    for batch in mysql_session(session).typed_batches(statement, context.page_bytes, context.schema.types):
        yield FetchedBatch(convert_batch(batch, selected, context), batch.num_rows)


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
