"""`audit`: who changed what through the server, and with tokens and keys."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ingest_ray.cli.invocation import Invocation, shared_options


@shared_options()
def audit(
    invocation: Invocation,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Of one endpoint.")] = None,
    who: Annotated[str | None, typer.Option("--who", help="Of one token, person or user.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Such as startIngestion or 'token create'.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="From then on, in UTC."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many [default: all].")] = None,
) -> None:
    """Show the audit log, the newest first: who did what, from where, with which outcome.

    \b
    Examples:
      ingest-ray audit --limit 20
      ingest-ray audit --since 2026-01-01 --json > audit.json
    """
    from ingest_ray.cli.tables.audit import show_audit_log
    from ingest_ray.service.access.audit import read_audit_log

    listed = read_audit_log(
        invocation.installation,
        endpoint_id=endpoint,
        who=who,
        action=action,
        since=since.replace(tzinfo=UTC) if since is not None else None,
        first=limit,
    )
    invocation.output.write(listed, lambda out: show_audit_log(listed, out))
