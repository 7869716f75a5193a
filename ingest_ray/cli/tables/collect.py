"""The result of `collect`."""

from typing import TextIO

from ingest_ray.cli.tables.layout import console_on, show_unfit
from ingest_ray.service.endpoints.collect import CollectResult


def show_collected(collected: CollectResult, out: TextIO) -> None:
    console, differences = console_on(out), collected.differences
    for action, names in (("+", differences.added), ("~", differences.changed), ("-", differences.gone)):
        for name in names:
            print(f"{action} {name}", file=out)  # an endpoint may have tens of thousands of datasets
    console.print(
        f"{collected.endpoint_id}: {differences.found} datasets, {len(differences.added)} new, "
        f"{len(differences.changed)} changed, {len(differences.gone)} gone"
    )
    for line in collected.configured:
        print(f"unit {line}", file=out)
    for warning in collected.warnings:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    show_unfit(console, collected.unfit)
