"""One local Ray for the session, started by the first test that needs it."""

from collections.abc import Iterator

import pytest

from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.settings import RaySettings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them in one worker: they share a local Ray."""
    for item in items:
        if "cluster" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    there = Cluster(RaySettings(num_cpus=2, object_store_bytes=100 * 1024 * 1024))
    yield there
    there.close()
