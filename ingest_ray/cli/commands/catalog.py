"""`apply`, `test`, `collect`, `units` and `preview`: endpoints, and what metadata collection found at them."""

from pathlib import Path
from typing import Annotated, TextIO

import typer

from ingest_ray.cli.each_unit import for_each_unit, named_units
from ingest_ray.cli.invocation import EndpointArg, Invocation, UnitArg, shared_options
from ingest_ray.cli.output import MISTAKE, SUCCESS
from ingest_ray.sdk.errors import ConfigError


@shared_options()
def apply(
    invocation: Invocation,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="ingest.yaml", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Apply the file to units that were saved in the console, too.")
    ] = False,
    move: Annotated[
        bool, typer.Option("--move", help="A sink is elsewhere, and its tables were moved there: checkpoints go along.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="A sink is elsewhere: forget the checkpoints, and load again there.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Log in at every endpoint and sink first; change nothing where one fails.")
    ] = False,
) -> None:
    """Register endpoints, sinks and units as a file says.

    Applying twice changes nothing. What the file no longer has is removed; rows and checkpoints stay.
    Enabled units that cannot run as they are configured are named, and so are units that were saved in the console or
    through the service: the file does not apply to them until --take-back.
    A sink whose address changes while units were loaded into it is refused without --move or --reload.

    \b
    Examples:
      ingest-ray apply
      ingest-ray apply prod/ingest.yaml --dry-run
      ingest-ray apply --take-back
      ingest-ray apply --check
      ingest-ray apply --move
    """
    from ingest_ray.cli.tables.apply import show_changes
    from ingest_ray.config import load_config
    from ingest_ray.service.endpoints import apply as use_case

    config_file = invocation.config_file
    if file is not None and config_file is not None and file != config_file:
        raise ConfigError("two files: give FILE or --config, not both")
    if move and reload:
        raise ConfigError("--move and --reload: give one of them")
    applied = use_case.apply(
        load_config(file or config_file or Path("ingest.yaml")),
        dry_run=dry_run,
        take_back=take_back,
        displaced="move" if move else "reload" if reload else None,
        checks_reach=check,
    )
    invocation.output.write(applied, lambda out: show_changes(applied, out))


@shared_options()
def check_connection(invocation: Invocation, endpoint: EndpointArg) -> None:
    """Log in at an endpoint, and name what its login lacks.

    An endpoint that cannot be used is an error, with every reason. Of a token with scopes, those that only some units
    need are warnings.

    \b
    Examples:
      ingest-ray test tracker
      ingest-ray test tracker --json
    """
    from ingest_ray.cli.tables.connection import show_connection
    from ingest_ray.service.endpoints.connection_test import try_endpoint

    tested = try_endpoint(invocation.installation, endpoint)
    invocation.output.write(tested, lambda out: show_connection(tested, out))


@shared_options()
def collect(invocation: Invocation, endpoint: EndpointArg) -> int:
    """Read an endpoint's metadata into the catalog.

    Every changed dataset gets a new version; one that has vanished is marked, not deleted.
    Enabled units that cannot run as they are configured are named.
    Exit code 2: what was found is in the catalog, but a rule or a schema of the configuration selects nothing.

    \b
    Examples:
      ingest-ray collect shop
      ingest-ray collect shop --json
    """
    from ingest_ray.cli.tables.collect import show_collected
    from ingest_ray.service.endpoints import collect as use_case

    collected = use_case.collect(invocation.installation, endpoint)
    invocation.output.write(collected, lambda out: show_collected(collected, out))
    return MISTAKE if collected.faults else SUCCESS


@shared_options()
def units(invocation: Invocation, endpoint: EndpointArg) -> None:
    """Show what can be ingested from an endpoint, whether it is enabled, and what keeps an enabled unit from running.

    \b
    Examples:
      ingest-ray units shop
      ingest-ray units shop --json
    """
    from ingest_ray.cli.tables.units import show_units
    from ingest_ray.service.units.policies.checked_listing import list_checked_units

    listed = list_checked_units(invocation.installation, endpoint)
    invocation.output.write(listed, lambda out: show_units(listed, out))


@shared_options()
def preview(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: UnitArg,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000, help="How many rows.")] = 10,
) -> int:
    """Show a few rows of a unit, straight from the source.

    \b
    Examples:
      ingest-ray preview shop public.orders
      ingest-ray preview shop public.orders -n 3 --json
      ingest-ray preview shop 'public.*' -n 1
    """
    from ingest_ray.cli.tables.preview import show_rows
    from ingest_ray.service.units import preview as use_case

    units = named_units(invocation, endpoint, unit)

    def show(sample: use_case.PreviewRows, out: TextIO) -> None:
        if units.is_list:
            print(f"{endpoint}:{sample.unit_id}", file=out)
        show_rows(sample, out)

    return for_each_unit(
        invocation, units, "previews", lambda ref: use_case.preview(invocation.installation, ref, rows), show
    )
