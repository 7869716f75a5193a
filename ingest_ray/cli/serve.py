"""`ingest-ray serve` and `ingest-ray schema`: the control plane over HTTP."""

from importlib import import_module
from typing import Annotated, Any

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.options import ConfigOption, JsonOption, LogFormat, LogLevel
from ingest_ray.cli.output import FINE, frame
from ingest_ray.sdk.errors import ConfigError

EXTRA = "pip install 'ingest-ray[service]'"


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: serve.host].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port [default: serve.port]; 0: any.")] = None,
    console: Annotated[bool, typer.Option(help="Serve the console at /console, too.")] = True,
    config: ConfigOption = None,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
) -> int:
    """Serve GraphQL at /graphql and the console at /console, and start runs by interval, until it is stopped.

    Runs that it has started go on when it stops.

    \b
    Examples:
      ingest-ray token create --name ada --role admin
      ingest-ray serve
      ingest-ray serve --host 0.0.0.0 --port 8400 --log-format json
    """
    installation = lazy.installation(config, log_format, log_level)
    module("ingest_ray.server.serve").serve(installation, host, port, has_console=console)
    return FINE


def schema(as_json: JsonOption = False) -> int:
    """Print the GraphQL schema.

    \b
    Examples:
      ingest-ray schema > schema.graphql
    """
    text = str(module("ingest_ray.graphql.schema").sdl())
    frame().give({"schema": text}, lambda out: print(text, file=out))
    return FINE


def module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"the server needs a package that is not installed: {error.name}", hint=EXTRA) from None
