"""Reads one slice of MySQL: the server's own text of every value, a column at a time into the declared type."""

from collections.abc import Iterator

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset, Slice
from ingest_strategies.jdbc.dialect import Fetched, Session
from ingest_strategies.jdbc.mysql.catalog import quoted
from ingest_strategies.jdbc.mysql.types import carried
from ingest_strategies.jdbc.values.wire_text import Item, batching, checked


def items(dataset: Dataset, names: list[str]) -> list[Item]:
    types, charsets = dataset.facts["types"], dataset.facts["charsets"]
    found = []
    for name in names:
        column = dataset.column(name)
        if column is None or not isinstance(types, dict) or not isinstance(charsets, dict):
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        charset = charsets.get(name)
        form = carried(str(types.get(name)), column.source_type, str(charset) if charset else None).select
        found.append(Item(column, form.format(quoted(name))))
    return found


def fetched(session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext) -> Iterator[Fetched]:
    selected = items(dataset, context.schema.names)
    columns = ", ".join(f"{item.sql} AS c{index}" for index, item in enumerate(selected))
    for batch in session.batches(f"SELECT {columns} {source}", batching(piece, context)):
        yield Fetched(checked(batch, selected, context), batch.num_rows)
