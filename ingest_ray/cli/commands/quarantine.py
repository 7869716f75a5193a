"""`quarantine list`, `show`, `replay` and `discard`: rows that could not be represented."""

from typing import Annotated

import typer

from ingest_ray.cli.confirm import confirm
from ingest_ray.cli.invocation import EndpointArg, Invocation, YesOption, shared_options

quarantine_app = typer.Typer(help="Rows that could not be represented.", no_args_is_help=True, rich_markup_mode=None)

OptionalEndpointArg = Annotated[
    str | None, typer.Argument(metavar="ENDPOINT", help="All endpoints by default.", show_default=False)
]
OptionalUnitArg = Annotated[
    str | None, typer.Argument(metavar="UNIT", help="A unit or a pattern; all units by default.", show_default=False)
]


@quarantine_app.command("list")
@shared_options()
def quarantine_list(invocation: Invocation, endpoint: OptionalEndpointArg = None, unit: OptionalUnitArg = None) -> None:
    """List what is in quarantine: for each slice, how many rows and the first reason.

    \b
    Examples:
      ingest-ray quarantine list
      ingest-ray quarantine list shop public.orders --json
    """
    from ingest_ray.cli.tables.quarantine import show_entries
    from ingest_ray.service.runs.quarantine import list_rejected

    listed = list_rejected(invocation.installation, endpoint, unit)
    invocation.output.write(listed, lambda out: show_entries(listed, out))


@quarantine_app.command("show")
@shared_options()
def quarantine_show(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: OptionalUnitArg = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=10_000, help="How many rows.")] = 10,
) -> None:
    """Show rows in quarantine with their raw values, the column and the reason.

    \b
    Examples:
      ingest-ray quarantine show shop public.orders
      ingest-ray quarantine show shop public.orders -n 1000 --json
    """
    from ingest_ray.cli.tables import quarantine as tables
    from ingest_ray.service.runs import quarantine as use_cases

    rejected = use_cases.show_rejected(invocation.installation, endpoint, unit, rows)
    invocation.output.write(rejected, lambda out: tables.show_rejected(rejected, out))


@quarantine_app.command("replay")
@shared_options()
def quarantine_replay(invocation: Invocation, endpoint: EndpointArg, unit: OptionalUnitArg = None) -> int:
    """Try the rows in quarantine again. What still does not fit stays there.

    For units that upsert: an older row never overwrites a newer one, where the unit has a cursor.

    \b
    Examples:
      ingest-ray quarantine replay shop public.orders
      ingest-ray quarantine replay shop 'public.*'
    """
    from ingest_ray.cli import foreground_run

    return foreground_run.replay(invocation.output, invocation.installation, endpoint, unit)


@quarantine_app.command("discard")
@shared_options()
def quarantine_discard(
    invocation: Invocation, endpoint: EndpointArg, unit: OptionalUnitArg = None, yes: YesOption = False
) -> None:
    """Delete rows in quarantine for good.

    \b
    Examples:
      ingest-ray quarantine discard shop public.orders
      ingest-ray quarantine discard shop public.orders --yes
    """
    from ingest_ray.service.runs.quarantine import discard_rejected, list_rejected

    listed = list_rejected(invocation.installation, endpoint, unit)
    if not yes:
        name = f"{endpoint}:{unit}" if unit else endpoint
        confirm(f"Delete {listed.rows} rows of {name} that are only in quarantine?")
    discarded = discard_rejected(invocation.installation, endpoint, unit)
    invocation.output.write(discarded, lambda out: print(f"deleted {discarded.rows} rows", file=out))
