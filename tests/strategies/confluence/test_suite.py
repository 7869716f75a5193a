"""The behaviour suite of strategies, on Cloud and Data Center, for a unit of each kind."""

import pytest

from ingest_ray.sdk.types import Policy
from ingest_ray.simulators.atlassian import Simulation
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.suites.strategy import KnownUnit, StrategySuite
from ingest_strategies.confluence import http
from ingest_strategies.confluence.tables import TABLES
from tests.strategies.confluence.site import endpoint_of, hung, pages_of

pytestmark = pytest.mark.slow


def known_unit(sim: Simulation, name: str, wanted: int, least_slices: int = 2) -> KnownUnit:
    """The rows are what a FULL run gives; that they are the simulator's truth is the other tests' business."""
    endpoint = endpoint_of(sim, slice_pages=60)
    rows = Rehearsal(http, KnownUnit(http, endpoint, name, rows=[], secrets=(sim.token,)).spec()).run().rows
    assert len(rows) == wanted
    policy = Policy(target_slice_bytes=512 * 1024)
    return KnownUnit(http, endpoint, name, rows, policy, secrets=(sim.token,), least_slices=least_slices)


@pytest.fixture(scope="module")
def pages(quiet: Simulation) -> KnownUnit:
    return known_unit(quiet, "confluence.page", len(pages_of(quiet)))


@pytest.fixture(scope="module")
def comments(quiet: Simulation) -> KnownUnit:
    return known_unit(quiet, "confluence.comment", sum(1 for _ in hung(quiet, "comments")))


@pytest.fixture(scope="module")
def spaces(quiet: Simulation) -> KnownUnit:
    return known_unit(quiet, "confluence.space", len(list(quiet.expected("spaces"))), least_slices=1)


class TestPages(StrategySuite):
    @pytest.fixture
    def known(self, pages: KnownUnit) -> KnownUnit:
        return pages


class TestComments(StrategySuite):
    @pytest.fixture
    def known(self, comments: KnownUnit) -> KnownUnit:
        return comments


class TestSpaces(StrategySuite):
    @pytest.fixture
    def known(self, spaces: KnownUnit) -> KnownUnit:
        return spaces


def test_every_dataset_is_a_unit_and_spaces_are_options_with_their_pages(quiet: Simulation) -> None:
    endpoint = endpoint_of(quiet)
    datasets = list(http.collect(endpoint))
    assert {unit.unit_id for unit in http.list_units(endpoint, datasets)} == set(TABLES)
    options = next(dataset.facts["options"] for dataset in datasets if dataset.name == "confluence.space")
    assert isinstance(options, list)
    current = [record for record in quiet.expected("pages", brief=True) if record["status"] == "current"]
    for option in options:
        assert isinstance(option, dict)
        assert option["pages"] == sum(record["space"] == option["key"] for record in current)
