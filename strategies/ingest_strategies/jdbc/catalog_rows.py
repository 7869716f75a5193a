"""Functions for the rows of every database's catalog queries: grouping, columns of a dataset, indexes, changed columns."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pydantic import JsonValue

from ingest_ray.sdk.errors import ConfigError, SourceChanged, SourceError
from ingest_ray.sdk.types import Column, Dataset, Endpoint, Fidelity
from ingest_ray.sdk.types.dataset import DISTINCT_NAME, FAULT
from ingest_strategies.jdbc.dialect import Session


class Carrier(Protocol):
    """The part of a type's mapping to Arrow that the catalog shows."""

    @property
    def arrow(self) -> str: ...

    @property
    def logical(self) -> str | None: ...

    @property
    def fidelity(self) -> Fidelity: ...

    @property
    def note(self) -> str | None: ...


def column_of(
    name: str, source_type: str, is_nullable: bool, carrier: Carrier, description: str | None = None
) -> Column:
    return Column(
        name=name,
        source_type=source_type,
        arrow=carrier.arrow,
        nullable=is_nullable,
        logical=carrier.logical,
        fidelity=carrier.fidelity,
        note=carrier.note,
        description=description or None,
    )


def undescribed(endpoint: Endpoint, name: str, reason: str, facts: dict[str, JsonValue]) -> Dataset:
    """Stands for an object that cannot be described: it has no columns, and the reason is in its facts."""
    return Dataset(endpoint_id=endpoint.endpoint_id, name=name, columns=(), facts={**facts, FAULT: reason})


def described_one_by_one(
    endpoint: Endpoint,
    session: Session,
    names: Iterable[tuple[str, str]],
    describe: Callable[[str, str], Dataset | None],
) -> Iterator[Dataset]:
    """Describes each table by itself, because the query over all of them failed.

    Raises:
        SourceError: of a session that is lost: no object is at fault then.
    """
    for schema, table in names:
        facts: dict[str, JsonValue] = {"schema": schema, "table": table}
        try:
            found = describe(schema, table)
        except (SourceError, ConfigError) as error:
            session.rows("SELECT 1 AS one")
            yield undescribed(endpoint, joined_name(schema, table), error.message, facts)
        else:
            if found is not None:
                yield found


def joined_name(schema: str, table: str) -> str:
    return f"{schema}.{table}"


def name_facts(schema: str, table: str) -> dict[str, JsonValue]:
    """Schema and table of a dataset; with the name that tells it apart where another pair may have the same joined name."""
    facts: dict[str, JsonValue] = {"schema": schema, "table": table}
    if "." in schema or "." in table:
        facts[DISTINCT_NAME] = ".".join(_quoted_part(part) for part in (schema, table))
    return facts


def _quoted_part(part: str) -> str:
    doubled = part.replace('"', '""')
    return f'"{doubled}"' if "." in part else part


def group_by_first(rows: Iterable[Sequence[Any]]) -> dict[Any, list[tuple[Any, ...]]]:
    """Rows without their first item, by it."""
    groups: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    for first, *rest in rows:
        groups[first].append(tuple(rest))
    return groups


def group_by_table(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Rows without schema and table, by these two."""
    groups: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for schema, table, *rest in rows:
        groups[schema, table].append(tuple(rest))
    return groups


def is_indexed(dataset: Dataset, names: Sequence[str]) -> bool:
    """Whether an index begins with these columns, by `facts["indexes"]`."""
    indexes = dataset.facts.get("indexes")
    return isinstance(indexes, list) and any(
        isinstance(index, list) and index[: len(names)] == list(names) for index in indexes
    )


def require_same_columns(
    types: Mapping[str, str], dataset: Dataset, names: Sequence[str], if_gone: str = "the table is gone"
) -> None:
    """Compares the columns that are to be read with the catalog; `types`: name -> type as the database has it now.

    Raises:
        SourceChanged: they differ; `if_gone` is the message where there are no columns at all.
    """
    change = None if types else if_gone
    for name in names:
        column = dataset.column(name)
        if change is not None or column is None:
            continue
        if name not in types:
            change = f"column '{name}' is gone"
        elif types[name] != column.source_type:
            change = f"column '{name}' was '{column.source_type}' and is '{types[name]}'"
    if change is not None:
        raise SourceChanged(f"{dataset.name}: {change}", hint="collect metadata again")
