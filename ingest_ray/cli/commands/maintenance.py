"""`compact`, `vacuum` and `relayout`: maintenance of a lake's tables."""

from typing import Annotated

import typer

from ingest_ray.cli.invocation import EndpointArg, Invocation, shared_options

UnitsArg = Annotated[
    list[str], typer.Argument(metavar="UNIT...", help="Units of the endpoint, or patterns.", show_default=False)
]


@shared_options()
def compact(invocation: Invocation, endpoint: EndpointArg, units: UnitsArg) -> None:
    """Rewrite a table's small files into large ones; rows and versions stay. May run while the unit is loaded.

    \b
    Examples:
      ingest-ray compact shop public.orders
      ingest-ray compact shop 'public.*'
    """
    from ingest_ray.cli.tables.maintenance import show_maintained
    from ingest_ray.service.units import table_maintenance

    maintained = table_maintenance.compact(invocation.installation, endpoint, units)
    document = {"tables": [table.model_dump(mode="json") for table in maintained]}
    invocation.output.write(document, lambda out: show_maintained(maintained, out))


@shared_options()
def vacuum(
    invocation: Invocation,
    endpoint: EndpointArg,
    units: UnitsArg,
    keep_hours: Annotated[int, typer.Option(help="Versions that are younger stay readable.")] = 7 * 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted.")] = False,
) -> None:
    """Delete files that no recent version of a table has, and what dead runs left there.

    \b
    Examples:
      ingest-ray vacuum shop public.orders --dry-run
      ingest-ray vacuum shop public.orders --keep-hours 48
    """
    from ingest_ray.cli.tables.maintenance import show_maintained
    from ingest_ray.service.units import table_maintenance

    maintained = table_maintenance.vacuum(invocation.installation, endpoint, units, keep_hours, dry_run)
    document = {"tables": [table.model_dump(mode="json") for table in maintained]}
    invocation.output.write(document, lambda out: show_maintained(maintained, out))


@shared_options()
def relayout(invocation: Invocation, endpoint: EndpointArg, units: UnitsArg) -> None:
    """Write a table again in the layout of its unit's policy, in one commit. The unit must not run meanwhile; rows and versions stay.

    \b
    Examples:
      ingest-ray relayout shop public.orders
      ingest-ray relayout shop 'public.*'
    """
    from ingest_ray.cli.tables.maintenance import show_maintained
    from ingest_ray.service.units import table_maintenance

    maintained = table_maintenance.relayout(invocation.installation, endpoint, units)
    document = {"tables": [table.model_dump(mode="json") for table in maintained]}
    invocation.output.write(document, lambda out: show_maintained(maintained, out))
