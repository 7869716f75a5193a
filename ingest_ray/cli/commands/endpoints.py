"""`templates`, `endpoints` and `validate`: what can be connected, what is, and whether the file is right."""

from pathlib import Path
from typing import Annotated

import typer

from ingest_ray.cli.invocation import Invocation, shared_options
from ingest_ray.cli.output import MISTAKE, SUCCESS


@shared_options(settings=False)
def templates(
    invocation: Invocation,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One template, such as jdbc.postgres.", show_default=False)
    ] = None,
) -> None:
    """Show the installed templates of sources and sinks; of one template, every option with type, default and an example.

    \b
    Examples:
      ingest-ray templates
      ingest-ray templates jdbc.postgres
      ingest-ray templates lake.delta --json
    """
    from ingest_ray.cli.tables.templates import show_template, show_templates
    from ingest_ray.service.endpoints.templates import survey_templates, template_of

    if name is not None:
        template = template_of(name)
        invocation.output.write(template, lambda out: show_template(template, out))
        return
    listed, broken = survey_templates()
    document = {
        "templates": [template.model_dump(mode="json") for template in listed],
        "broken": [template.model_dump(mode="json") for template in broken],
    }
    invocation.output.write(document, lambda out: show_templates(listed, broken, out))


@shared_options()
def endpoints(invocation: Invocation) -> None:
    """Show the registered sources: when their metadata was collected, and how their units stand.

    \b
    Examples:
      ingest-ray endpoints
      ingest-ray endpoints --json
    """
    from ingest_ray.cli.tables.endpoints import show_endpoints
    from ingest_ray.service.endpoints.overview import list_endpoints

    listed = list_endpoints(invocation.installation)
    document = {"endpoints": [endpoint.model_dump(mode="json") for endpoint in listed]}
    invocation.output.write(document, lambda out: show_endpoints(listed, out))


@shared_options()
def validate(
    invocation: Invocation,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="ingest.yaml", show_default=False)] = None,
) -> int:
    """Check a file and change nothing: every fault of every endpoint and unit at once, and libraries that are missing.

    Units are checked against what was collected last. Exit code 2: there are faults.

    \b
    Examples:
      ingest-ray validate
      ingest-ray validate prod/ingest.yaml --json
    """
    from ingest_ray.cli.tables.endpoints import show_validation
    from ingest_ray.config import FILE
    from ingest_ray.service.endpoints.validate import validate as use_case

    result = use_case(file or invocation.config_file or Path(FILE))
    invocation.output.write(result, lambda out: show_validation(result, out))
    return MISTAKE if result.faults or result.unfit else SUCCESS
