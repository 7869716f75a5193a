"""Reads one slice of MySQL: values in the declared types, or, in a batch with a value that is of none, the server's own text."""

from collections.abc import Iterator

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset, Slice
from ingest_strategies.jdbc.dialect import FetchedBatch, Session
from ingest_strategies.jdbc.mysql.catalog import quoted
from ingest_strategies.jdbc.mysql.session import mysql_session
from ingest_strategies.jdbc.mysql.types import carrier_of, prepared_form
from ingest_strategies.jdbc.values.wire_text import SelectedColumn, convert_batch, select_statement


def fetch_rows(
    session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext
) -> Iterator[FetchedBatch]:
    """By a prepared statement, whose rows are in binary form: they cost the server half as much. By a plain one where that cannot be."""
    names, types = context.schema.names, context.schema.types
    selected = selected_columns(dataset, names)
    prepared = select_statement(selected_columns(dataset, names, is_prepared=True), source)
    connected = mysql_session(session)
    batches = connected.prepared_batches(prepared, context.page_bytes, types)
    if batches is None:
        batches = connected.typed_batches(select_statement(selected, source), context.page_bytes, types)
    for batch in batches:
        yield FetchedBatch(convert_batch(batch, selected, context), batch.num_rows)


def selected_columns(dataset: Dataset, names: list[str], *, is_prepared: bool = False) -> list[SelectedColumn]:
    types, charsets = dataset.facts["types"], dataset.facts["charsets"]
    selected = []
    for name in names:
        column = dataset.column(name)
        if column is None or not isinstance(types, dict) or not isinstance(charsets, dict):
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        charset = charsets.get(name)
        carrier = carrier_of(str(types.get(name)), column.source_type, str(charset) if charset else None)
        form = prepared_form(str(types.get(name)), carrier) if is_prepared else carrier.select
        selected.append(SelectedColumn(column, form.format(quoted(name))))
    return selected
