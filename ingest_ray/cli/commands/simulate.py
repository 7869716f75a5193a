"""`simulate`: sites to try ingestion on."""

import typer

from ingest_ray.sdk.errors import ConfigError


def simulate(context: typer.Context) -> int:
    """Serve a simulated Jira or Confluence site on this machine, until it is stopped.

    \b
    Examples:
      ingest-ray simulate jira --issues 5000 --projects 10
      ingest-ray simulate confluence --mode dc --pages 10000 --trap rate-limit
      ingest-ray simulate --help
    """
    try:
        from ingest_ray.simulators.atlassian import command_line

        return command_line.main(context.args)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the simulated sites need a package that is not installed: {error.name}",
            hint="pip install 'ingest-ray[simulate]'",
        ) from None
