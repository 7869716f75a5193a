"""`changes status` and `changes drop`: what a source keeps of its log for units in run mode CHANGES."""

import typer

from ingest_ray.cli.confirm import confirm
from ingest_ray.cli.invocation import EndpointArg, Invocation, UnitArg, YesOption, shared_options
from ingest_ray.sdk.refs import UnitRef

changes_app = typer.Typer(help="Logs that sources keep for units.", no_args_is_help=True, rich_markup_mode=None)


@changes_app.command("status")
@shared_options()
def changes_status(invocation: Invocation, endpoint: EndpointArg, unit: UnitArg) -> None:
    """Show how far a unit has read its source's log, and how much of it the source keeps.

    \b
    Examples:
      ingest-ray changes status shop public.orders
    """
    from ingest_ray.cli.tables.status import show_log
    from ingest_ray.service.units.change_log import read_unit_log

    log = read_unit_log(invocation.installation, UnitRef(endpoint, unit))
    invocation.output.write(log, lambda out: show_log(log, out))


@changes_app.command("drop")
@shared_options()
def changes_drop(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: UnitArg,
    yes: YesOption = False,
) -> None:
    """Let the source's log go: remove the unit's replication slot and publication. The unit must be reset and loaded again after it.

    \b
    Examples:
      ingest-ray changes drop shop public.orders
      ingest-ray changes drop shop public.orders --yes
    """
    from ingest_ray.service.units.change_log import drop_unit_log

    ref = UnitRef(endpoint, unit)
    if not yes:
        confirm(f"Give up the changes of {ref} that are not read yet? It must be loaded again after it.")
    result = drop_unit_log(invocation.installation, ref)
    text = f"dropped {' and '.join(result.dropped)}" if result.dropped else "there was nothing to drop"
    invocation.output.write(result, lambda out: print(text, file=out))
