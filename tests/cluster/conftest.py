"""One local Ray for this folder, started by the first test that needs it; its servers work as long as they live."""

from collections.abc import Iterator

import pytest

from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.settings import RaySettings
from tests.scheduling import claim


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    claim("ray", tmp_path_factory.getbasetemp())
    there = Cluster(RaySettings(num_cpus=2, object_store_bytes=100 * 1024 * 1024))
    yield there
    there.close()
