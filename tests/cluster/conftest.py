"""One local Ray for the session, started by the first test that needs it."""

from collections.abc import Iterator

import pytest

from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.settings import RaySettings
from tests.scheduling import claim


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    claim("ray", tmp_path_factory.getbasetemp())
    there = Cluster(RaySettings(num_cpus=2, object_store_bytes=100 * 1024 * 1024))
    yield there
    there.close()
