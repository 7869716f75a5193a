"""`verify`."""

from typing import Annotated

import typer

from ingest_ray.cli.invocation import EndpointArg, Invocation, shared_options


@shared_options()
def verify(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: Annotated[
        list[str] | None,
        typer.Argument(metavar="UNIT", help="Units or patterns; all enabled ones by default.", show_default=False),
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Compare the values of rows, too, not only keys.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Read missing and different rows again, and erase what is gone.")
    ] = False,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Consent to more deletes than policy.max_delete_fraction.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, max=1000, help="How many keys of each kind to show.")
    ] = 10,
) -> int:
    """Compare all rows of units at the source with those in the sink: keys in both directions, and with --rows their values.

    Rows that a later run will read are no differences. Ctrl-C keeps what was compared: the same command goes on.
    Exit code 0: equal, or repaired. 1: they differ, or the comparison failed.

    \b
    Examples:
      ingest-ray verify shop
      ingest-ray verify shop public.orders --rows --limit 100
      ingest-ray verify shop public.orders --rows --repair
      ingest-ray verify jira jira.issues --json
    """
    from ingest_ray.cli import foreground_run
    from ingest_ray.run import VerifyOptions

    options = VerifyOptions(with_values=rows, repair=repair, allow_deletes=allow_deletes, limit=limit)
    return foreground_run.verify(invocation.output, invocation.installation, endpoint, unit or [], options)
