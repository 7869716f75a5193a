"""`worker`, `temporal schemas` and `temporal schedules`: runs as workflows of Temporal."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingest_ray.cli.invocation import Invocation, shared_options
from ingest_ray.sdk.missing_packages import named_packages

if TYPE_CHECKING:
    from ingest_ray.temporal.schedules import ScheduleChange

temporal_app = typer.Typer(
    name="temporal", no_args_is_help=True, short_help="Workflows: their schemas and schedules.", rich_markup_mode=None
)


@shared_options(log_level="info", is_server=True)
def worker(invocation: Invocation) -> None:
    """Take workflows and activities from Temporal, until it is stopped. Runs that are under way go on without it.

    \b
    Examples:
      ingest-ray worker
      ingest-ray worker --config prod/ingest.yaml --log-format json
    """
    settings = invocation.installation.settings
    with named_packages("Temporal", "temporal"):
        from ingest_ray.temporal.worker import serve
    asyncio.run(serve(settings))
    queue = settings.temporal.task_queue
    invocation.output.write(
        {"task_queue": queue, "state": "STOPPED"}, lambda out: print(f"stopped taking work from {queue}", file=out)
    )


@temporal_app.command(short_help="Show the JSON Schemas of workflows and activities.")
@shared_options(settings=False)
def schemas(
    invocation: Invocation,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write one file per workflow and activity.")
    ] = None,
) -> None:
    """Show what workflows and activities take and give, as JSON Schemas: for workflows in other languages.

    \b
    Examples:
      ingest-ray temporal schemas --json
      ingest-ray temporal schemas --out schemas
    """
    from ingest_ray.payloads import contract

    document = contract.schemas()
    files = {f"{kind}/{name}": schema for kind, by_name in document.items() for name, schema in by_name.items()}
    if folder is not None:
        for name, schema in files.items():
            file = folder / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(schema, indent=2) + "\n")
    invocation.output.write(document, lambda out: print("\n".join(files), file=out))


@temporal_app.command(short_help="Make the server's schedules what the units ask for.")
@shared_options()
def schedules(invocation: Invocation) -> None:
    """Make the schedules of the Temporal server what `schedule_minutes`, `schedule` and `schedules` of the enabled units ask for.

    \b
    Examples:
      ingest-ray temporal schedules
    """
    installation = invocation.installation
    with named_packages("Temporal", "temporal"):
        from ingest_ray.payloads.client import connect
        from ingest_ray.temporal.schedules import sync_schedules

    async def connect_and_sync() -> list["ScheduleChange"]:
        return await sync_schedules(await connect(installation.settings), installation)

    changes = asyncio.run(connect_and_sync())
    lines = [f"{change.action} {change.schedule_id}" for change in changes] or ["no unit asks for a schedule"]
    document = {"schedules": [change.model_dump(mode="json") for change in changes]}
    invocation.output.write(document, lambda out: print("\n".join(lines), file=out))
