"""`ingest-ray compact` and `ingest-ray vacuum`: looking after a lake's tables; `ingest-ray simulate`: sites to try things on."""

from importlib import import_module
from typing import Annotated

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.options import ConfigOption, EndpointArg, JsonOption, LogFormat, LogLevel
from ingest_ray.cli.output import FINE, frame

UnitsArg = Annotated[list[str], typer.Argument(metavar="UNIT...", help="Units of the endpoint.", show_default=False)]


def compact(
    endpoint: EndpointArg,
    units: UnitsArg,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Rewrite a table's small files into large ones; rows and versions stay. May run while the unit is loaded.

    \b
    Examples:
      ingest-ray compact shop public.orders
    """
    done = lazy.service("units.table_maintenance").compact(
        lazy.installation(config, log_format, log_level), endpoint, units
    )
    document = {"tables": [one.model_dump(mode="json") for one in done]}
    frame().give(document, lambda out: lazy.shown("maintenance").show_care(done, out))
    return FINE


def vacuum(
    endpoint: EndpointArg,
    units: UnitsArg,
    keep_hours: Annotated[int, typer.Option(help="Versions that are younger stay readable.")] = 7 * 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Delete files that no recent version of a table has, and what dead runs left there.

    \b
    Examples:
      ingest-ray vacuum shop public.orders --dry-run
      ingest-ray vacuum shop public.orders --keep-hours 48
    """
    installation = lazy.installation(config, log_format, log_level)
    done = lazy.service("units.table_maintenance").vacuum(installation, endpoint, units, keep_hours, dry_run)
    document = {"tables": [one.model_dump(mode="json") for one in done]}
    frame().give(document, lambda out: lazy.shown("maintenance").show_care(done, out))
    return FINE


def simulate(context: typer.Context) -> int:
    """Serve a simulated Jira or Confluence site on this machine, until it is stopped.

    \b
    Examples:
      ingest-ray simulate jira --issues 5000 --projects 10
      ingest-ray simulate confluence --mode dc --pages 10000 --trap rate-limit
      ingest-ray simulate --help
    """
    code: int = import_module("ingest_ray.simulators.atlassian.command_line").main(context.args)
    return code
