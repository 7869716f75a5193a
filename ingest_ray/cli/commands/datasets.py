"""`datasets show` and `datasets accept`: what metadata collection found, and what changed in it."""

from typing import Annotated, TextIO

import typer

from ingest_ray.cli.each_unit import NamedUnits, for_each_unit, named_units
from ingest_ray.cli.invocation import EndpointArg, Invocation, UnitArg, shared_options
from ingest_ray.sdk.refs import UnitRef

datasets_app = typer.Typer(help="What metadata collection found.", no_args_is_help=True, rich_markup_mode=None)


@datasets_app.command("list")
@shared_options()
def datasets_list(invocation: Invocation, endpoint: EndpointArg) -> None:
    """List the datasets of an endpoint: columns, key, rows, version of the schema.

    \b
    Examples:
      ingest-ray datasets list shop
      ingest-ray datasets list shop --json
    """
    from ingest_ray.cli.tables.dataset import show_datasets
    from ingest_ray.service.endpoints.datasets import list_datasets

    listed = list_datasets(invocation.installation, endpoint)
    document = {"datasets": [view.model_dump(mode="json") for view in listed]}
    invocation.output.write(document, lambda out: show_datasets(listed, out))


@datasets_app.command("show")
@shared_options()
def datasets_show(
    invocation: Invocation,
    endpoint: EndpointArg,
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="A dataset, such as public.orders, or a pattern.", show_default=False),
    ],
) -> int:
    """Show a dataset's columns and the history of its schema.

    \b
    Examples:
      ingest-ray datasets show shop public.orders
      ingest-ray datasets show shop 'public.*'
    """
    from ingest_ray.cli.tables.dataset import show_dataset
    from ingest_ray.service.units.dataset_history import dataset_history, select_datasets

    found = select_datasets(invocation.installation, endpoint, dataset)
    datasets = NamedUnits(tuple(UnitRef(endpoint, name) for name in found), is_list=found != [dataset])
    return for_each_unit(
        invocation,
        datasets,
        "datasets",
        lambda ref: dataset_history(invocation.installation, endpoint, ref.unit_id),
        show_dataset,
    )


@datasets_app.command("accept")
@shared_options()
def datasets_accept(invocation: Invocation, endpoint: EndpointArg, unit: UnitArg) -> int:
    """Let a unit go on with its dataset as the catalog has it now.

    For a unit whose policy.on_schema_change refused what changed: look at it, collect, and accept it.

    \b
    Examples:
      ingest-ray datasets accept shop public.orders
      ingest-ray datasets accept shop 'public.*'
    """
    from ingest_ray.service.units.dataset_history import DatasetAccepted, accept_dataset

    units = named_units(invocation, endpoint, unit)

    def show(accepted: DatasetAccepted, out: TextIO) -> None:
        name = f"{endpoint}:{accepted.unit_id}: " if units.is_list else ""
        for change in accepted.changes or ("nothing changed",):
            print(f"{name}{change}", file=out)

    return for_each_unit(invocation, units, "accepted", lambda ref: accept_dataset(invocation.installation, ref), show)
