"""The first page: the endpoints, with counts of their units by state."""

from nicegui import ui

from ingest_ray.console.elements import button, cell, cell_with, format_time, heading, link_to, row, table, text_of
from ingest_ray.console.page_context import Action, PageContext, show_message
from ingest_ray.service.endpoints import collect
from ingest_ray.service.endpoints.collect import CollectRequest
from ingest_ray.service.endpoints.overview import EndpointOverview, list_endpoints


async def show_endpoints(context: PageContext) -> None:
    await show_endpoint_table(context, 1)


async def show_endpoint_table(context: PageContext, level: int = 2) -> None:
    heading("Endpoints", level)
    known = await context.call(list_endpoints, context.installation)
    if known is None:
        return
    overviews = [view for view in known if context.principal.is_for(view.endpoint_id)]
    if not overviews:
        with ui.element("div").classes("empty"):
            text_of("Nothing is registered yet.", "p")
            text_of("Write an ingest.yaml and run: ingest-ray apply", "p", "soft")
        return
    columns = ("endpoint", "template", "collected (UTC)", "units enabled", "running", "failed", "actions")
    with table("Endpoints", columns, ("units enabled", "running", "failed")):
        for view in overviews:
            _show(context, view)


def _show(context: PageContext, view: EndpointOverview) -> None:
    with row():
        with cell_with():
            link_to(view.endpoint_id, f"/endpoint/{view.endpoint_id}")
        cell(view.template)
        cell(format_time(view.collected_at))
        cell(f"{view.enabled} of {view.units}", "number")
        cell(str(view.running), "number")
        cell(str(view.failed), "number")
        with cell_with("actions"):
            if context.is_admin:
                button("Collect", lambda: collect_now(context, view.endpoint_id), view.endpoint_id)


async def collect_now(context: PageContext, endpoint_id: str) -> None:
    """Waits for the collection: the next actions need its result."""
    request = CollectRequest(endpoint_id=endpoint_id, requested_by=context.principal.name)
    action = Action("triggerEndpointCollection", endpoint_id)
    collection_id = await context.act(action, collect.start_collection, context.installation, request)
    if collection_id is None:
        return
    ui.notify(f"reading the metadata of {endpoint_id}")
    waiting = Action("triggerEndpointCollection", endpoint_id, is_audited=False)
    done = await context.act(waiting, collect.run_collection, context.installation, collection_id, request)
    if done is not None:
        differences = done.differences
        show_message(
            f"{endpoint_id}: {differences.found} datasets, {len(differences.added)} new, {len(differences.gone)} gone"
        )
        ui.navigate.reload()
