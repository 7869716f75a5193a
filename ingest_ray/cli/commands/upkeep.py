"""`doctor` and `sweep`: care for an installation."""

from typing import Annotated

import typer

from ingest_ray.cli.invocation import Invocation, shared_options


@shared_options()
def doctor(
    invocation: Invocation,
    quick: Annotated[bool, typer.Option("--quick", help="Do not connect to sinks.")] = False,
) -> int:
    """Look at the installation, and say what is wrong and what to do. Changes nothing. Exit code 1: something failed.

    \b
    Examples:
      ingest-ray doctor
      ingest-ray doctor --quick --json
    """
    from ingest_ray.cli.tables.monitoring.upkeep import show_diagnosis
    from ingest_ray.service.upkeep.doctor import diagnose

    diagnosis = diagnose(invocation.installation, is_quick=quick)
    document = {**diagnosis.model_dump(mode="json"), "is_healthy": diagnosis.is_healthy}
    invocation.output.write(document, lambda out: show_diagnosis(diagnosis, out))
    return int(not diagnosis.is_healthy)


@shared_options()
def sweep(
    invocation: Invocation,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted.")] = False,
) -> None:
    """Delete what is older than `retention` says, and what dead runs left. `serve` and `run` do so once a day.

    \b
    Examples:
      ingest-ray sweep --dry-run
      ingest-ray sweep
    """
    from ingest_ray.cli.tables.monitoring.upkeep import show_swept
    from ingest_ray.service.upkeep import retention

    report = retention.sweep(invocation.installation, is_dry_run=dry_run)
    invocation.output.write(report, lambda out: show_swept(report, out))
