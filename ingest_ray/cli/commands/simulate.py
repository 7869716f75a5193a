"""`simulate`: sites to try ingestion on."""

import typer

from ingest_ray.sdk.missing_packages import named_packages, require_package


def simulate(context: typer.Context) -> int:
    """Serve a simulated Jira or Confluence site on this machine, until it is stopped.

    \b
    Examples:
      ingest-ray simulate jira --issues 5000 --projects 10
      ingest-ray simulate confluence --mode dc --pages 10000 --trap rate-limit
      ingest-ray simulate --help
    """
    owner, extra = "a simulated site", "simulate"
    for package in ("uvicorn", "httptools"):  # else they are missed only after the site's address is printed
        require_package(package, owner, extra)
    with named_packages(owner, extra):
        from ingest_ray.simulators.atlassian import command_line

        return command_line.main(context.args)
