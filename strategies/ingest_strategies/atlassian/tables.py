"""The fixed tables of a product: one per dataset, with its columns and its key."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import JsonValue

from ingest_ray.sdk.types import Column, Dataset, Endpoint, RunMode, Unit
from ingest_ray.sdk.types.dataset import WHOLE_OBJECT

PAYLOAD = "payload"
"""The column with the untouched object, in every dataset that has one."""


class ColumnSpec(Protocol):
    def as_column(self) -> Column: ...


S = TypeVar("S", bound=ColumnSpec)


@dataclass(frozen=True)
class Table(Generic[S]):
    """`is_unit`: whether the dataset can be ingested; the others feed filter options only. `is_reread`: whether every run reads all of it
    anyway, and replaces what the sink has."""

    name: str
    kind: str
    title: str
    columns: tuple[S, ...]
    key: tuple[str, ...] = ("id",)
    cursor: str | None = None
    models: tuple[str, ...] = ()
    is_unit: bool = True
    is_reread: bool = False


def dataset_of(
    endpoint: Endpoint,
    table: Table[S],
    rows: int | None,
    facts: dict[str, JsonValue],
    *,
    columns: tuple[S, ...] | None = None,
    row_bytes: int | None = None,
) -> Dataset:
    """`columns`: where the site decides some of them. `row_bytes`: where the size is worth an estimate."""
    described = tuple(column.as_column() for column in (table.columns if columns is None else columns))
    whole: dict[str, JsonValue] = {WHOLE_OBJECT: PAYLOAD} if any(one.name == PAYLOAD for one in described) else {}
    return Dataset(
        endpoint_id=endpoint.endpoint_id,
        name=table.name,
        kind=table.kind,
        columns=described,
        primary_key=table.key,
        estimated_rows=rows,
        estimated_bytes=rows * row_bytes if rows is not None and row_bytes is not None else None,
        description=table.title,
        labels=(table.name.partition(".")[0], table.kind),
        facts={**facts, **whole},
    )


def unit_of(dataset: Dataset, table: Table[S] | None, template: str) -> Unit | None:
    """None where the dataset is no unit, or is not known to this version of the strategy."""
    if table is None or not table.is_unit:
        return None
    modes: tuple[RunMode, ...] = (RunMode.INCREMENTAL, RunMode.FULL) if table.cursor else (RunMode.FULL,)
    if table.is_reread:
        modes = tuple(reversed(modes))
    return Unit(
        endpoint_id=dataset.endpoint_id,
        unit_id=dataset.name,
        dataset_id=dataset.dataset_id,
        kind=table.kind,
        display_name=table.title,
        driver_id=template,
        supported_modes=modes,
        default_mode=modes[0],
        is_replaced=table.is_reread,
        cdm_model_ids=table.models,
        stats={"rows": dataset.estimated_rows, "columns": len(dataset.columns)},
    )
