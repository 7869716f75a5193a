"""The values that filters offer: short lists that strategies store with their datasets during collection."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from ingest_ray.catalog import dataset_versions, endpoints
from ingest_ray.service.installation import Installation

Options = Mapping[str, Sequence[Mapping[str, JsonValue]]]


def filter_options(installation: Installation, endpoint_id: str) -> Options:
    """The options by the name of the dataset; empty before the first collection. Raises `EndpointNotFound`."""
    with installation.catalog.read() as connection:
        endpoints.source(connection, endpoint_id)
        found = dataset_versions.current(connection, endpoint_id)
    return {
        dataset.name: [option for option in options if isinstance(option, dict)]
        for dataset in found
        if isinstance(options := dataset.facts.get("options"), list)
    }
