"""The page of sinks: where rows end up, and which units write there."""

from collections import Counter

from ingest_ray.console.elements import cell, heading, note, row, table, text_of
from ingest_ray.console.page_context import PageContext
from ingest_ray.service.endpoints.provision import SinkView, list_sinks
from ingest_ray.service.units.unit_status import list_all_statuses

COLUMNS = ("sink", "template", "address", "units", "models of the CDM")


async def show_sinks(context: PageContext) -> None:
    heading("Sinks", 1)
    sinks = await context.call(list_sinks, context.installation)
    statuses = await context.call(list_all_statuses, context.installation)
    if sinks is None or statuses is None:
        return
    shown = [view for view in sinks if context.principal.is_for(view.sink_id)]
    if not shown:
        note("No sink is registered: write one into ingest.yaml and run: ingest-ray apply", "empty")
        return
    units = Counter(status.sink_id for status in statuses if context.principal.is_for(status.endpoint_id))
    text_of("Where rows end up. ingest-ray test SINK says whether it can be reached.", "p", "soft")
    with table("Sinks", COLUMNS, ("units",)):
        for view in shown:
            with row():
                cell(view.sink_id, "mono")
                cell(view.template)
                cell(view.address or "-", "mono")
                cell(str(units[view.sink_id]), "number")
                cell(models_of(view))


def models_of(view: SinkView) -> str:
    if not view.supported_cdm_models:
        return "none"
    if view.provisioned is None:
        return "all that it takes, made at first use"
    return ", ".join(view.provisioned) or "none is made yet: ingest-ray provision"
