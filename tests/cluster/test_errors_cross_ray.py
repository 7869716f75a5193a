"""Every error class through a real Ray task: what arrives is the class itself, with message, code and hint."""

import inspect

import pytest
import ray

from ingest_ray.executors.ray.remote_errors import unwrapped
from ingest_ray.sdk import errors
from ingest_ray.sdk.errors import IngestError

pytestmark = pytest.mark.cluster
CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, IngestError)]


@ray.remote(max_retries=0)
def fail(kind: type[IngestError]) -> None:
    error = kind("orders: gone")
    error.hint = "look again"
    raise error


@pytest.mark.usefixtures("cluster")
def test_every_error_class_crosses_ray_whole() -> None:
    for kind in CLASSES:
        with pytest.raises(ray.exceptions.RayTaskError) as caught:
            ray.get(fail.remote(kind))
        arrived = unwrapped(caught.value)
        assert type(arrived) is kind
        assert isinstance(arrived, IngestError)
        assert (str(arrived), arrived.code, arrived.hint) == ("orders: gone", kind.code, "look again")
