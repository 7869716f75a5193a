from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_ray import telemetry
from tests.service.workspace import Workspace
from tests.telemetry.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found
        telemetry.shutdown()


@pytest.fixture
def workspace(tmp_path: Path, collector: Collector) -> Workspace:
    """Its telemetry goes to the collector."""
    made = Workspace(tmp_path)
    made.document["telemetry"] = {"endpoint": collector.url}
    return made
