"""The first page: which endpoints there are, and how their units stand."""

from nicegui import ui

from ingest_ray.console.elements import button, cell, cell_with, heading, row, table, text_of, when
from ingest_ray.console.page_visit import Visit, say
from ingest_ray.service.endpoints import collect
from ingest_ray.service.endpoints.collect import CollectRequest
from ingest_ray.service.endpoints.overview import EndpointOverview, list_endpoints


async def show_endpoints(here: Visit) -> None:
    heading("Endpoints", 1)
    found = await here.look(list_endpoints, here.installation)
    if found is None:
        return
    if not found:
        with ui.element("div").classes("empty"):
            text_of("Nothing is registered yet.", "p")
            text_of("Write an ingest.yaml and run: ingest-ray apply", "p", "soft")
        return
    columns = ("endpoint", "template", "collected (UTC)", "units enabled", "running", "failed", "actions")
    with table("Endpoints", columns, ("units enabled", "running", "failed")):
        for view in found:
            _show(here, view)


def _show(here: Visit, view: EndpointOverview) -> None:
    with row():
        with cell_with():
            ui.link(view.endpoint_id, f"/endpoint/{view.endpoint_id}")
        cell(view.template)
        cell(when(view.collected_at))
        cell(f"{view.enabled} of {view.units}", "number")
        cell(str(view.running), "number")
        cell(str(view.failed), "number")
        with cell_with("actions"):
            if here.is_admin:
                button("Collect", lambda: collect_now(here, view.endpoint_id), view.endpoint_id)


async def collect_now(here: Visit, endpoint_id: str) -> None:
    """Waits for it: the next thing that a person does needs its result."""
    request = CollectRequest(endpoint_id=endpoint_id, requested_by=here.principal.name)
    collection_id = await here.act("collect", collect.start_collection, here.installation, request)
    if collection_id is None:
        return
    ui.notify(f"reading the metadata of {endpoint_id}")
    done = await here.act("collect", collect.run_collection, here.installation, collection_id, request)
    if done is not None:
        differences = done.differences
        say(f"{endpoint_id}: {differences.found} datasets, {len(differences.added)} new, {len(differences.gone)} gone")
        ui.navigate.reload()
