"""A simulated Confluence that several modules of tests read."""

from collections.abc import Iterator

import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate


@pytest.fixture(scope="session", params=["cloud", "dc"])
def static_site(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    """A small site of either deployment that no test changes."""
    with simulate("confluence", request.param, pages=240, spaces=3, frozen=True) as sim:
        yield sim
