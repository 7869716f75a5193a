"""`serve` and `schema`: the control plane over HTTP."""

from typing import TYPE_CHECKING, Annotated

import typer

from ingest_ray.cli.invocation import Invocation, shared_options
from ingest_ray.sdk.missing_packages import named_packages, require_package

if TYPE_CHECKING:
    from ingest_ray.service.installation import Installation

EXTRA = "service"


@shared_options(json=False, log_level="info", is_server=True)
def serve(
    invocation: Invocation,
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: serve.host].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port [default: serve.port]; 0: any.")] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, max=64, help="Runs at once [default: serve.parallel, else one per core].")
    ] = None,
    console: Annotated[bool, typer.Option(help="Serve the console at /console, too.")] = True,
) -> None:
    """Serve GraphQL at /graphql and the console at /console, and start runs by interval, until it is stopped.

    Runs that it has started go on when it stops.

    \b
    Examples:
      ingest-ray token create --name ada --role admin
      ingest-ray serve
      ingest-ray serve --host 0.0.0.0 --port 8400 --log-format json
    """
    installation = with_parallel(invocation.installation, parallel)
    if console:
        require_package("nicegui", "the console", EXTRA)
    with named_packages("the server", EXTRA):
        from ingest_ray.server import serve as server
    server.serve(installation, host, port, has_console=console)


def with_parallel(installation: "Installation", parallel: int | None) -> "Installation":
    if parallel is None:
        return installation
    from ingest_ray.service.installation import Installation

    serving = installation.settings.serve.model_copy(update={"parallel": parallel})
    return Installation(installation.settings.model_copy(update={"serve": serving}))


@shared_options(settings=False)
def schema(invocation: Invocation) -> None:
    """Print the GraphQL schema.

    \b
    Examples:
      ingest-ray schema > schema.graphql
    """
    with named_packages("the schema", EXTRA):
        from ingest_ray.graphql.schema import sdl
    text = sdl()
    invocation.output.write({"schema": text}, lambda out: print(text, file=out))
