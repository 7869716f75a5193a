"""Reads one slice of MySQL: the server's own text of every value, a column at a time into the declared type."""

from collections.abc import Iterator

from ingest_ray.contracts import ReadContext
from ingest_ray.errors import SourceChanged
from ingest_ray.models import Dataset, Slice
from strategies.jdbc.dialect import Fetched, Session
from strategies.jdbc.mysql_catalog import quoted
from strategies.jdbc.mysql_types import carried
from strategies.jdbc.wire_text import Item, batching, checked


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
