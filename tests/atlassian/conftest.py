from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate

Open = Callable[[Simulation], AbstractContextManager[httpx.Client]]


@contextmanager
def opened(sim: Simulation) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=sim.url, verify=False, auth=(sim.user, sim.token), trust_env=False, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="session")
def jira() -> Iterator[Simulation]:
    """Read-only: 400 issues in four projects of a Cloud site."""
    with simulate("jira", issues=400, projects=4) as sim:
        yield sim


@pytest.fixture(scope="session")
def jira_dc() -> Iterator[Simulation]:
    with simulate("jira", "dc", issues=400, projects=4) as sim:
        yield sim


@pytest.fixture(scope="session")
def wiki() -> Iterator[Simulation]:
    """Read-only: 600 pages in twelve spaces of a Cloud site."""
    with simulate("confluence", pages=600, spaces=12) as sim:
        yield sim


@pytest.fixture(scope="session")
def wiki_dc() -> Iterator[Simulation]:
    with simulate("confluence", "dc", pages=600, spaces=12) as sim:
        yield sim
