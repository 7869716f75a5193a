"""`provision`, `remap` and `sinks`: the common data model."""

from typing import Annotated

import typer

from ingest_ray.cli.invocation import EndpointArg, Invocation, UnitArg, shared_options
from ingest_ray.sdk.refs import UnitRef


@shared_options()
def provision(
    invocation: Invocation,
    sink: Annotated[str, typer.Argument(metavar="SINK", help="A sink of ingest.yaml.", show_default=False)],
    model: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="CDM models, such as cdm.work.item.", show_default=False)
    ],
) -> None:
    """Make the tables of CDM models in a sink, and publish them to the catalog. Doing it again changes nothing.

    \b
    Examples:
      ingest-ray provision warehouse cdm.work.item cdm.work.user
    """
    from ingest_ray.cli.tables.cdm import show_provisioned
    from ingest_ray.service.endpoints import provision as use_case

    installation = invocation.installation
    provisioned = [use_case.provision(installation, sink, model_id) for model_id in model]
    document = {"provisioned": [table.model_dump(mode="json") for table in provisioned]}
    invocation.output.write(document, lambda out: show_provisioned(provisioned, out))


@shared_options()
def remap(invocation: Invocation, endpoint: EndpointArg, unit: UnitArg) -> int:
    """Map again what staging keeps of a unit, without asking its source: after its mapping has changed.

    Staging keeps what policy.keep_staging says. No watermark moves.

    \b
    Examples:
      ingest-ray remap tracker jira.issues
      ingest-ray remap tracker 'jira.*'
    """
    from ingest_ray.cli import foreground_run

    return foreground_run.remap(invocation.output, invocation.installation, UnitRef(endpoint, unit))


@shared_options()
def sinks(invocation: Invocation) -> None:
    """Show the sinks, the CDM models that they take, and which of them are provisioned.

    \b
    Examples:
      ingest-ray sinks
    """
    from ingest_ray.cli.tables.cdm import show_sinks
    from ingest_ray.service.endpoints.provision import list_sinks

    listed = list_sinks(invocation.installation)
    document = {"sinks": [sink.model_dump(mode="json") for sink in listed]}
    invocation.output.write(document, lambda out: show_sinks(listed, out))
