"""`ingest-ray quarantine`: rows that could not be represented."""

from typing import Annotated

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.confirm import ask
from ingest_ray.cli.options import ConfigOption, EndpointArg, JsonOption, LogFormat, LogLevel
from ingest_ray.cli.output import FAILED, FINE, frame

quarantine_app = typer.Typer(help="Rows that could not be represented.", no_args_is_help=True, rich_markup_mode=None)

MaybeEndpoint = Annotated[
    str | None, typer.Argument(metavar="ENDPOINT", help="All endpoints by default.", show_default=False)
]
MaybeUnit = Annotated[str | None, typer.Argument(metavar="UNIT", help="All units by default.", show_default=False)]


@quarantine_app.command("list")
def quarantine_list(
    endpoint: MaybeEndpoint = None,
    unit: MaybeUnit = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """List what is in quarantine: for each slice, how many rows and the first reason.

    \b
    Examples:
      ingest-ray quarantine list
      ingest-ray quarantine list shop public.orders --json
    """
    found = lazy.service("runs.quarantine").list_rejected(
        lazy.installation(config, log_format, log_level), endpoint, unit
    )
    frame().give(found, lambda out: lazy.shown("quarantine").show_entries(found, out))
    return FINE


@quarantine_app.command("show")
def quarantine_show(
    endpoint: EndpointArg,
    unit: MaybeUnit = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=10_000, help="How many rows.")] = 10,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show rows in quarantine with their raw values, the column and the reason.

    \b
    Examples:
      ingest-ray quarantine show shop public.orders
      ingest-ray quarantine show shop public.orders -n 1000 --json
    """
    found = lazy.service("runs.quarantine").show_rejected(
        lazy.installation(config, log_format, log_level), endpoint, unit, rows
    )
    frame().give(found, lambda out: lazy.shown("quarantine").show_rejected(found, out))
    return FINE


@quarantine_app.command("replay")
def quarantine_replay(
    endpoint: EndpointArg,
    unit: MaybeUnit = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Try the rows in quarantine again. What still does not fit stays there.

    For units that upsert: an older row never overwrites a newer one, where the unit has a cursor.

    \b
    Examples:
      ingest-ray quarantine replay shop public.orders
    """
    report = lazy.running().replay(lazy.installation(config, log_format, log_level), endpoint, unit)
    frame().give(lazy.documents().run_document(report), lambda out: lazy.shown("run_report").show_report(report, out))
    return FINE if report.state == "SUCCEEDED" else FAILED


@quarantine_app.command("discard")
def quarantine_discard(
    endpoint: EndpointArg,
    unit: MaybeUnit = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Delete rows in quarantine for good.

    \b
    Examples:
      ingest-ray quarantine discard shop public.orders
      ingest-ray quarantine discard shop public.orders --yes
    """
    here, service = lazy.installation(config, log_format, log_level), lazy.service("runs.quarantine")
    found = service.list_rejected(here, endpoint, unit)
    if not yes:
        ask(f"Delete {found.rows} rows of {endpoint}{f':{unit}' if unit else ''} that are only in quarantine?")
    done = service.discard_rejected(here, endpoint, unit)
    frame().give(done, lambda out: print(f"deleted {done.rows} rows", file=out))
    return FINE
