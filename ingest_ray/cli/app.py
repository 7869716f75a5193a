"""The commands."""

from pathlib import Path
from typing import Annotated

import typer

from ingest_ray import __version__
from ingest_ray.cli import lazy
from ingest_ray.cli.cdm import provision, remap, sinks
from ingest_ray.cli.confirm import ask
from ingest_ray.cli.control import history, pause, watermark_app
from ingest_ray.cli.datasets import datasets_app
from ingest_ray.cli.maintenance import compact, simulate, vacuum
from ingest_ray.cli.options import ConfigOption, EndpointArg, JsonOption, LogFormat, LogLevel, UnitArg
from ingest_ray.cli.output import FAILED, FINE, frame
from ingest_ray.cli.quarantine import quarantine_app
from ingest_ray.cli.serve import schema, serve
from ingest_ray.cli.temporal import temporal_app, worker
from ingest_ray.cli.tokens import secrets_app, token_app
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef

app = typer.Typer(
    name="ingest-ray",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(datasets_app, name="datasets")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(watermark_app, name="watermark")
app.add_typer(token_app, name="token")
app.add_typer(secrets_app, name="secrets")
app.command(short_help="Stop a unit's run after the commit under way.")(pause)
app.command(short_help="Show runs, the newest first.")(history)
app.command(short_help="Serve GraphQL and the console.")(serve)
app.command(short_help="Print the GraphQL schema.")(schema)
app.add_typer(temporal_app, name="temporal")
app.command(short_help="Take workflows from Temporal.")(worker)
app.command(short_help="Rewrite a table's small files into large ones.")(compact)
app.command(short_help="Delete a table's files that nobody needs.")(vacuum)
app.command(short_help="Make the tables of CDM models in a sink.")(provision)
app.command(short_help="Map again what staging keeps of a unit.")(remap)
app.command(short_help="Show the sinks and the CDM models they take.")(sinks)
app.command(
    short_help="Serve a simulated Jira or Confluence.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(simulate)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ingest-ray {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Lands tables and records in a lake or warehouse: planned, staged, committed exactly once.

    \b
    First steps:
      ingest-ray apply ingest.yaml       register endpoints, sinks and units
      ingest-ray collect shop            read the metadata of endpoint shop
      ingest-ray plan shop public.orders what a run would read
      ingest-ray run shop                run all enabled units of shop
      ingest-ray status                  where everything stands

    \b
    Exit codes: 0 fine, 1 a run failed, 2 something in the call or the configuration is wrong.
    """


@app.command(short_help="Register endpoints, sinks and units.")
def apply(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="ingest.yaml", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Register endpoints, sinks and units as a file says.

    Applying twice changes nothing. What the file no longer has is removed; rows and checkpoints stay.

    \b
    Examples:
      ingest-ray apply
      ingest-ray apply prod/ingest.yaml --dry-run
    """
    lazy.start_logs(log_format, log_level)
    if file is not None and config is not None and file != config:
        raise ConfigError("two files: give FILE or --config, not both")
    done = lazy.service("endpoints.apply").apply(
        lazy.config().load_config(file or config or Path("ingest.yaml")), dry_run=dry_run
    )
    frame().give(done, lambda out: lazy.shown("catalog").show_changes(done, out))
    return FINE


@app.command(short_help="Read an endpoint's metadata.")
def collect(
    endpoint: EndpointArg,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Read an endpoint's metadata into the catalog.

    Every changed dataset gets a new version; one that has vanished is marked, not deleted.

    \b
    Examples:
      ingest-ray collect shop
      ingest-ray collect shop --json
    """
    done = lazy.service("endpoints.collect").collect(lazy.installation(config, log_format, log_level), endpoint)
    frame().give(done, lambda out: lazy.shown("catalog").show_collected(done, out))
    return FINE


@app.command(short_help="Show what can be ingested.")
def units(
    endpoint: EndpointArg,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show what can be ingested from an endpoint, and whether it is enabled.

    \b
    Examples:
      ingest-ray units shop
      ingest-ray units shop --json
    """
    found = lazy.service("units.listing").list_units(lazy.installation(config, log_format, log_level), endpoint)
    frame().give(found, lambda out: lazy.shown("catalog").show_units(found, out))
    return FINE


@app.command(short_help="Show what a run would read now.")
def plan(
    endpoint: EndpointArg,
    unit: UnitArg,
    slices: Annotated[int, typer.Option("--slices", min=0, help="How many slices to show.")] = 10,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show what a run would read now: strategy, horizon, segments, slices, types. Reads no rows.

    \b
    Examples:
      ingest-ray plan shop public.orders
      ingest-ray plan shop public.orders --slices 100
    """
    found = lazy.service("runs.execution").plan(
        lazy.installation(config, log_format, log_level), UnitRef(endpoint, unit)
    )
    frame().give(found, lambda out: lazy.shown("plan").show_plan(found, slices, out))
    return FINE


@app.command(short_help="Run units: read what is new, commit it once.")
def run(
    endpoint: EndpointArg,
    unit: Annotated[
        list[str] | None,
        typer.Argument(metavar="UNIT", help="Units; all enabled ones by default.", show_default=False),
    ] = None,
    lower: Annotated[
        str | None,
        typer.Option("--from", metavar="VALUE", help="Backfill: the first value of the cursor to read again."),
    ] = None,
    upper: Annotated[
        str | None, typer.Option("--to", metavar="VALUE", help="Backfill: the first value that is not read again.")
    ] = None,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Afterwards, find rows that were deleted at the source.")
    ] = False,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Consent to more deletes than policy.max_delete_fraction.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Run units of an endpoint: read what is new, and commit it exactly once.

    Ctrl-C finishes the commit under way; running again goes on where it stopped.
    A backfill (--from, --to) reads a part again and moves no watermark.

    \b
    Examples:
      ingest-ray run shop
      ingest-ray run shop public.orders public.customers
      ingest-ray run shop public.orders --from 2024-01-01 --to 2024-02-01
      ingest-ray run shop public.orders --reconcile --json
    """
    here = lazy.installation(config, log_format, log_level)
    options = lazy.running().run_options(lower, upper, reconcile, allow_deletes)
    report = lazy.running().run(here, endpoint, unit or [], options)
    frame().give(lazy.documents().run_document(report), lambda out: lazy.shown("run_report").show_report(report, out))
    return FINE if report.state == "SUCCEEDED" else FAILED


@app.command(short_help="Show where units stand.")
def status(
    endpoint: Annotated[str | None, typer.Argument(metavar="ENDPOINT", show_default=False)] = None,
    unit: Annotated[str | None, typer.Argument(metavar="UNIT", show_default=False)] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show where units stand: state, watermark per segment, last run, counts, errors.

    \b
    Examples:
      ingest-ray status
      ingest-ray status shop
      ingest-ray status shop public.orders
    """
    found = lazy.service("units.status").read_status(lazy.installation(config, log_format, log_level), endpoint, unit)
    frame().give(found, lambda out: lazy.shown("run_report").show_status(found, unit is not None, out))
    return FINE


@app.command(short_help="Show a few rows of a unit.")
def preview(
    endpoint: EndpointArg,
    unit: UnitArg,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000, help="How many rows.")] = 10,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show a few rows of a unit, straight from the source.

    \b
    Examples:
      ingest-ray preview shop public.orders
      ingest-ray preview shop public.orders -n 3 --json
    """
    found = lazy.service("units.preview").preview(
        lazy.installation(config, log_format, log_level), UnitRef(endpoint, unit), rows
    )
    frame().give(found, lambda out: lazy.shown("catalog").show_rows(found, out))
    return FINE


@app.command(short_help="Forget a unit's checkpoint.")
def reset(
    endpoint: EndpointArg,
    unit: UnitArg,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Forget a unit's checkpoint: its next run starts from nothing. Rows in the sink stay.

    \b
    Examples:
      ingest-ray reset shop public.orders
      ingest-ray reset shop public.orders --yes
    """
    installation, service = lazy.installation(config, log_format, log_level), lazy.service("units.reset")
    ref = UnitRef(endpoint, unit)
    sink = service.configured_sink_id(installation, ref)
    if not yes:
        ask(f"Forget the checkpoint of {ref} in sink {sink}?")
    done = service.reset(installation, ref)
    frame().give(done, lambda out: print(f"forgot {done.segments} segment(s) of {ref}", file=out))
    return FINE
