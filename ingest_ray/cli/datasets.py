"""`ingest-ray datasets`: what metadata collection found, and what changed in it."""

from typing import Annotated

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.options import ConfigOption, EndpointArg, JsonOption, LogFormat, LogLevel, UnitArg
from ingest_ray.cli.output import FINE, frame
from ingest_ray.sdk.refs import UnitRef

datasets_app = typer.Typer(help="What metadata collection found.", no_args_is_help=True, rich_markup_mode=None)


@datasets_app.command("show")
def datasets_show(
    endpoint: EndpointArg,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Name of the dataset, such as public.orders.", show_default=False)
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show a dataset's columns and the history of its schema.

    \b
    Examples:
      ingest-ray datasets show shop public.orders
    """
    found = lazy.service("units.dataset_history").dataset_history(
        lazy.installation(config, log_format, log_level), endpoint, dataset
    )
    frame().give(found, lambda out: lazy.shown("plan").show_dataset(found, out))
    return FINE


@datasets_app.command("accept")
def datasets_accept(
    endpoint: EndpointArg,
    unit: UnitArg,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Let a unit go on with its dataset as the catalog has it now.

    For a unit whose policy.on_schema_change refused what changed: look at it, collect, and accept it.

    \b
    Examples:
      ingest-ray datasets accept shop public.orders
    """
    done = lazy.service("units.dataset_history").accept_dataset(
        lazy.installation(config, log_format, log_level), UnitRef(endpoint, unit)
    )
    frame().give(done, lambda out: print("\n".join(done.changes or ("nothing changed",)), file=out))
    return FINE
