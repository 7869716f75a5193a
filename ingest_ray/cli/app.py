"""The commands and their order in `--help`."""

from typing import Annotated

import typer

from ingest_ray import __version__
from ingest_ray.cli.command_order import OrderedCommands
from ingest_ray.cli.commands.access import secrets_app, token_app
from ingest_ray.cli.commands.alert import alert_app
from ingest_ray.cli.commands.audit import audit
from ingest_ray.cli.commands.backup import backup, restore
from ingest_ray.cli.commands.catalog import apply, check_connection, collect, preview, units
from ingest_ray.cli.commands.cdm import provision, remap, sinks
from ingest_ray.cli.commands.checkpoint import changes_app, reset, watermark_app
from ingest_ray.cli.commands.copy import copy
from ingest_ray.cli.commands.datasets import datasets_app
from ingest_ray.cli.commands.endpoints import endpoints, templates, validate
from ingest_ray.cli.commands.init import init
from ingest_ray.cli.commands.maintenance import compact, relayout, vacuum
from ingest_ray.cli.commands.quarantine import quarantine_app
from ingest_ray.cli.commands.runs import history, logs, pause, plan, run, status
from ingest_ray.cli.commands.server import schema, serve
from ingest_ray.cli.commands.simulate import simulate
from ingest_ray.cli.commands.temporal import temporal_app, worker
from ingest_ray.cli.commands.upkeep import doctor, sweep
from ingest_ray.cli.commands.verify import verify
from ingest_ray.cli.commands.version import version

app = typer.Typer(
    name="ingest-ray",
    cls=OrderedCommands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command(short_help="Copy tables to a lake or database, without a file.")(copy)
app.command(short_help="Write an ingest.yaml from what a source has.")(init)
app.command(short_help="Show what can be connected, with every option.")(templates)
app.command(short_help="Check a file, and change nothing.")(validate)
app.command(short_help="Register endpoints, sinks and units.")(apply)
app.command("test", short_help="Log in at an endpoint, and name what its login lacks.")(check_connection)
app.command(short_help="Read an endpoint's metadata.")(collect)
app.command(short_help="Show the registered sources.")(endpoints)
app.command(short_help="Show the sinks and the CDM models they take.")(sinks)
app.add_typer(datasets_app, name="datasets")
app.command(short_help="Show what can be ingested.")(units)
app.command(short_help="Show a few rows of a unit.")(preview)
app.command(short_help="Show what a run would read now.")(plan)
app.command(short_help="Run units: read what is new, commit it once.")(run)
app.command(short_help="Show where units stand.")(status)
app.command(short_help="Stop a unit's run after the commit under way.")(pause)
app.command(short_help="Show runs, the newest first.")(history)
app.command(short_help="Show the log of a run.")(logs)
app.command(short_help="Compare units with their sinks, and repair what differs.")(verify)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(changes_app, name="changes")
app.add_typer(watermark_app, name="watermark")
app.command(short_help="Forget a unit's checkpoint.")(reset)
app.command(short_help="Make the tables of CDM models in a sink.")(provision)
app.command(short_help="Map again what staging keeps of a unit.")(remap)
app.command(short_help="Serve GraphQL and the console.")(serve)
app.add_typer(token_app, name="token")
app.add_typer(alert_app, name="alert")
app.command(short_help="Show who changed what.")(audit)
app.add_typer(secrets_app, name="secrets")
app.command(short_help="Print the GraphQL schema.")(schema)
app.command(short_help="Take workflows from Temporal.")(worker)
app.add_typer(temporal_app, name="temporal")
app.command(short_help="Look what is wrong with the installation.")(doctor)
app.command(short_help="Delete what is older than the retention says.")(sweep)
app.command(short_help="Rewrite a table's small files into large ones.")(compact)
app.command(short_help="Delete a table's files that no recent version has.")(vacuum)
app.command(short_help="Write a table again in the layout of its policy.")(relayout)
app.command(short_help="Copy the state, while runs go on.")(backup)
app.command(short_help="Put a copy of the state back.")(restore)
app.command(
    short_help="Serve a simulated Jira or Confluence.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(simulate)
app.command(short_help="Show the version, and those of the main libraries.")(version)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ingest-ray {__version__}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Lands tables and records in a lake or warehouse: planned, staged, committed exactly once.

    \b
    In one step:
      ingest-ray copy postgresql://app@db/shop --to ./lake

    \b
    First steps with a file:
      ingest-ray init                    look at a source, write ingest.yaml
      ingest-ray apply ingest.yaml       register endpoints, sinks and units
      ingest-ray collect shop            read the metadata of endpoint shop
      ingest-ray plan shop public.orders what a run would read
      ingest-ray run shop                run all enabled units of shop
      ingest-ray status                  where everything stands

    \b
    Options may be given in the environment: INGEST_RAY_CONFIG is --config of all commands, INGEST_RAY_RUN_PARALLEL is
    --parallel of run.

    \b
    Exit codes: 0 fine, 1 a run failed, 2 something in the call or the configuration is wrong.
    """
