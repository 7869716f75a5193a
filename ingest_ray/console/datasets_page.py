"""The pages of datasets: what metadata collection found, and the history of each schema."""

from nicegui import ui

from ingest_ray.catalog.dataset_versions import Version
from ingest_ray.console.elements import (
    cell,
    cell_with,
    facts,
    format_count,
    format_time,
    heading,
    link_to,
    row,
    table,
    text_of,
)
from ingest_ray.console.listing import Column, Listing
from ingest_ray.console.page_context import PageContext
from ingest_ray.service.endpoints.datasets import MOST_LISTED, search_datasets
from ingest_ray.service.units.dataset_history import DatasetHistory, dataset_history


async def show_datasets(context: PageContext) -> None:
    heading("Datasets", 1)
    found = await context.call(
        search_datasets,
        context.installation,
        project=None,
        endpoint_id=context.query.get("endpoint"),
        text=None,
        within=await context.visible_endpoints(),
        limit=MOST_LISTED,
    )
    columns: list[Column[Version]] = [
        Column("dataset", lambda item: item.dataset.dataset_id),
        Column("kind", lambda item: item.dataset.kind),
        Column("columns", lambda item: len(item.dataset.columns), is_number=True),
        Column("key", lambda item: ", ".join(item.dataset.primary_key)),
        Column("rows (estimate)", lambda item: item.dataset.estimated_rows, is_number=True),
        Column("schema version", lambda item: item.version, is_number=True),
        Column("schema since (UTC)", lambda item: item.first_seen_at),
    ]
    listing = Listing("Datasets", "dataset", columns, lambda item: item.dataset.dataset_id, _show)
    with ui.element("div").classes("bar"):
        listing.search_field()
    listing.make(found or ())


def _show(item: Version) -> None:
    dataset = item.dataset
    with row():
        with cell_with("mono"):
            link_to(dataset.dataset_id, "/dataset", endpoint=dataset.endpoint_id, name=dataset.name)
        cell(dataset.kind)
        cell(str(len(dataset.columns)), "number")
        cell(", ".join(dataset.primary_key) or "-", "mono")
        cell(format_count(dataset.estimated_rows) if dataset.estimated_rows is not None else "-", "number")
        cell(str(item.version), "number")
        cell(format_time(item.first_seen_at))


async def show_dataset(context: PageContext) -> None:
    endpoint_id, name = context.query.get("endpoint", ""), context.query.get("name", "")
    found = await context.find("dataset", endpoint_id, dataset_history, context.installation, endpoint_id, name)
    if found is None:
        return
    heading(f"Dataset {name}", 1)
    with ui.element("p").classes("soft"):
        link_to(endpoint_id, f"/endpoint/{endpoint_id}")
        text_of(", ")
        link_to("its unit", "/unit", endpoint=endpoint_id, unit=name)
    _show_facts(found)
    heading("History of the schema")
    with table("History of the schema", ("version", "first seen (UTC)", "last seen (UTC)", "changes")):
        for version in reversed(found.versions):
            with row():
                cell(str(version.version))
                cell(format_time(version.first_seen_at))
                gone = f"gone since {format_time(version.gone_at)}" if version.gone_at else ""
                cell(gone or format_time(version.last_seen_at))
                cell("; ".join(version.changes) or ("first seen" if version.version == 1 else "-"))
    _show_columns(found)


def _show_facts(found: DatasetHistory) -> None:
    dataset = found.dataset
    rows = dataset.estimated_rows
    facts(
        [
            ("kind", dataset.kind),
            ("description", dataset.description or "-"),
            ("primary key", ", ".join(dataset.primary_key) or "none"),
            ("rows", f"about {format_count(rows)}, by the source's statistics" if rows is not None else "unknown"),
            ("schema", f"version {found.versions[-1].version} of {len(found.versions)}"),
        ]
    )


def _show_columns(found: DatasetHistory) -> None:
    heading("Columns")
    with table("Columns", ("column", "type at the source", "staged as", "nullable", "fidelity", "description")):
        for column in found.dataset.columns:
            with row():
                cell(column.name, "mono")
                cell(column.source_type)
                cell(column.arrow)
                cell("yes" if column.nullable else "no")
                cell(column.fidelity.value + (f": {column.note}" if column.note else ""))
                cell(column.description or "-")
