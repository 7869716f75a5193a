"""`ingest-ray worker`, and what belongs to it: the published schemas, and schedules."""

import asyncio
import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.options import ConfigOption, JsonOption, LogFormat, LogLevel
from ingest_ray.cli.output import FINE, frame
from ingest_ray.sdk.errors import ConfigError

temporal_app = typer.Typer(
    name="temporal", no_args_is_help=True, short_help="Workflows: their schemas and schedules.", rich_markup_mode=None
)


def needed(module: str) -> Any:
    """Raises `ConfigError` where Temporal's library is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"'{error.name}' is not installed", hint="pip install 'ingest-ray[temporal]'") from None


def worker(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
) -> int:
    """Take workflows and activities from Temporal, until it is stopped. Runs that are under way go on without it.

    \b
    Examples:
      ingest-ray worker
      ingest-ray worker --config prod/ingest.yaml --log-format json
    """
    settings = lazy.installation(config, log_format, log_level).settings
    asyncio.run(needed("ingest_ray.temporal.worker").serve(settings))
    queue = settings.temporal.task_queue
    frame().give(
        {"task_queue": queue, "state": "STOPPED"}, lambda out: print(f"stopped taking work from {queue}", file=out)
    )
    return FINE


@temporal_app.command(short_help="Show the JSON Schemas of workflows and activities.")
def schemas(
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write one file per workflow and activity.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Show what workflows and activities take and give, as JSON Schemas: for workflows in other languages.

    \b
    Examples:
      ingest-ray temporal schemas --json
      ingest-ray temporal schemas --out schemas
    """
    document = import_module("ingest_ray.payloads.contract").schemas()
    names = [f"{kind}/{name}" for kind, found in document.items() for name in found]
    if folder is not None:
        for name in names:
            kind, _, part = name.partition("/")
            file = folder / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(document[kind][part], indent=2) + "\n")
    frame().give(document, lambda out: print("\n".join(names), file=out))
    return FINE


@temporal_app.command(short_help="Make the server's schedules what the units ask for.")
def schedules(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Make the schedules of the Temporal server what `schedule_minutes` of the enabled units asks for.

    \b
    Examples:
      ingest-ray temporal schedules
    """
    installation = lazy.installation(config, log_format, log_level)
    connect, sync = needed("ingest_ray.payloads.client").connect, needed("ingest_ray.temporal.schedules").sync

    async def go() -> Any:
        return await sync(await connect(installation.settings), installation)

    changes = asyncio.run(go())
    lines = [f"{change.action} {change.schedule_id}" for change in changes] or ["no unit asks for a schedule"]
    document = {"schedules": [change.model_dump(mode="json") for change in changes]}
    frame().give(document, lambda out: print("\n".join(lines), file=out))
    return FINE
