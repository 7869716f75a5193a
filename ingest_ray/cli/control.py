"""`ingest-ray pause`, `ingest-ray history` and `ingest-ray watermark set`."""

from typing import Annotated

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.confirm import ask
from ingest_ray.cli.options import ConfigOption, EndpointArg, JsonOption, LogFormat, LogLevel, UnitArg
from ingest_ray.cli.output import FINE, frame
from ingest_ray.sdk.refs import UnitRef

watermark_app = typer.Typer(help="Where a unit goes on.", no_args_is_help=True, rich_markup_mode=None)


def pause(
    endpoint: EndpointArg,
    unit: UnitArg,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Stop a unit's run after the commit under way, wherever it runs; its schedule is held until it is started again.

    \b
    Examples:
      ingest-ray pause shop public.orders
    """
    installation = lazy.installation(config, log_format, log_level)
    done = lazy.service("runs.control").pause(installation, UnitRef(endpoint, unit), requested_by="command line")
    frame().give(done, lambda out: print(done.message, file=out))
    return FINE


def history(
    endpoint: Annotated[str | None, typer.Argument(metavar="ENDPOINT", show_default=False)] = None,
    unit: Annotated[str | None, typer.Argument(metavar="UNIT", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many runs.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="RUN", help="Those before this run.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show runs, the newest first.

    \b
    Examples:
      ingest-ray history
      ingest-ray history shop public.orders -n 100 --json
    """
    installation = lazy.installation(config, log_format, log_level)
    found = lazy.service("runs.history").list_runs(
        installation, endpoint_id=endpoint, unit_id=unit, after=after, first=limit
    )
    frame().give(found, lambda out: lazy.shown("history").show_history(found, out))
    return FINE


@watermark_app.command("set")
def watermark_set(
    endpoint: EndpointArg,
    unit: UnitArg,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A value of the cursor.", show_default=False)],
    segment: Annotated[str | None, typer.Option(help="One segment; all by default.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Let a unit go on from a value of its cursor: what is above is read again, what is below is not.

    \b
    Examples:
      ingest-ray watermark set shop public.orders 2024-01-01
      ingest-ray watermark set jira jira.issues 2024-01-01 --segment ABC --yes
    """
    installation, ref = lazy.installation(config, log_format, log_level), UnitRef(endpoint, unit)
    if not yes:
        ask(f"Set the watermark of {ref} to '{value}'?")
    done = lazy.service("units.watermark").set_watermark(installation, ref, value, segment=segment)
    frame().give(done, lambda out: print(f"set the watermark of {len(done.watermarks)} segment(s)", file=out))
    return FINE
