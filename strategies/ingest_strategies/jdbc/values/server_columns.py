"""What the catalog remembers of a table's columns where a server's values are read as text.

`facts["columns"]`: name -> [kind, cast, expression in a SELECT]; `facts["collations"]`: name -> collation of text.
"""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Column, Dataset, Slice
from ingest_strategies.jdbc.dialect import AxisColumn, Fetched, Session
from ingest_strategies.jdbc.values.column_carriers import Carried
from ingest_strategies.jdbc.values.wire_text import Item, batching, checked


def remembered(columns: Mapping[str, Carried]) -> dict[str, JsonValue]:
    return {name: [found.kind, found.cast, found.select] for name, found in columns.items()}


def column_of(name: str, source_type: str, is_nullable: bool, found: Carried, description: str | None = None) -> Column:
    return Column(
        name=name,
        source_type=source_type,
        arrow=found.arrow,
        nullable=is_nullable,
        logical=found.logical,
        fidelity=found.fidelity,
        note=found.note,
        description=description or None,
    )


def fact(dataset: Dataset, name: str) -> tuple[str, str, str] | None:
    columns = dataset.facts.get("columns")
    found = columns.get(name) if isinstance(columns, dict) else None
    return (str(found[0]), str(found[1]), str(found[2])) if isinstance(found, list) else None


def collation_of(dataset: Dataset, name: str) -> str:
    collations = dataset.facts.get("collations")
    found = collations.get(name) if isinstance(collations, dict) else None
    return str(found) if found else ""


def is_indexed(dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
    if any(column.collation for column in columns):
        return False
    names = [column.name for column in columns]
    indexes = dataset.facts.get("indexes")
    return isinstance(indexes, list) and any(
        isinstance(index, list) and index[: len(names)] == names for index in indexes
    )


def difference(found: Mapping[str, str], dataset: Dataset, names: Sequence[str]) -> str | None:
    """What no longer is as the catalog says, of the columns that are to be read. `found`: name -> type."""
    if not found:
        return "the table is gone, or may not be seen any more"
    for name in names:
        column = dataset.column(name)
        if column is not None and name not in found:
            return f"column '{name}' is gone"
        if column is not None and found[name] != column.source_type:
            return f"column '{name}' was '{column.source_type}' and is '{found[name]}'"
    return None


def fetched(
    session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext, quoted_table: str
) -> Iterator[Fetched]:
    items = []
    for name in context.schema.names:
        column, found = dataset.column(name), fact(dataset, name)
        if column is None or found is None:
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        items.append(Item(column, found[2].format(f"{quoted_table}.{quoted(name)}")))
    columns = ", ".join(f"{item.sql} AS c{index}" for index, item in enumerate(items))
    for batch in session.batches(f"SELECT {columns} {source}", batching(piece, context)):
        yield Fetched(checked(batch, items, context), batch.num_rows)


def quoted(name: str) -> str:
    """As standard SQL, Oracle, and SQL Server under QUOTED_IDENTIFIER write it."""
    return '"' + name.replace('"', '""') + '"'
