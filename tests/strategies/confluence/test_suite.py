"""The behaviour suite of strategies, on Cloud and Data Center, for a unit of each kind."""

import pytest

from ingest_ray.sdk.types import Policy
from ingest_ray.simulators.atlassian import Simulation
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.suites.strategy import KnownUnit, StrategySuite
from ingest_strategies.confluence import http
from ingest_strategies.confluence.tables import TABLES
from tests.strategies.confluence.site import attached, endpoint_of, pages_of

pytestmark = pytest.mark.slow


def known_unit(sim: Simulation, name: str, expected: int, least_slices: int = 2) -> KnownUnit:
    """The rows are those of a FULL run; other tests compare them with the simulator."""
    endpoint = endpoint_of(sim, slice_pages=60)
    rows = Rehearsal(http, KnownUnit(http, endpoint, name, rows=[], secrets=(sim.token,)).spec()).run().rows
    assert len(rows) == expected
    policy = Policy(target_slice_bytes=512 * 1024)
    return KnownUnit(http, endpoint, name, rows, policy, secrets=(sim.token,), least_slices=least_slices)


@pytest.fixture(scope="module")
def pages(static_site: Simulation) -> KnownUnit:
    return known_unit(static_site, "confluence.page", len(pages_of(static_site)))


@pytest.fixture(scope="module")
def comments(static_site: Simulation) -> KnownUnit:
    return known_unit(static_site, "confluence.comment", sum(1 for _ in attached(static_site, "comments")))


@pytest.fixture(scope="module")
def spaces(static_site: Simulation) -> KnownUnit:
    return known_unit(static_site, "confluence.space", len(list(static_site.expected("spaces"))), least_slices=1)


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


def test_every_dataset_is_a_unit_and_spaces_are_options_with_their_pages(static_site: Simulation) -> None:
    endpoint = endpoint_of(static_site)
    datasets = list(http.collect(endpoint))
    is_cloud = static_site.mode == "cloud"
    offered = {name for name, table in TABLES.items() if is_cloud or not table.is_cloud_only}
    named = {"confluence.custom_content"}  # only where the endpoint names types of apps' content
    assert {unit.unit_id for unit in http.list_units(endpoint, datasets)} == offered - named
    options = next(dataset.facts["options"] for dataset in datasets if dataset.name == "confluence.space")
    assert isinstance(options, list)
    current = [record for record in static_site.expected("pages", brief=True) if record["status"] == "current"]
    for option in options:
        assert isinstance(option, dict)
        assert option["pages"] == sum(record["space"] == option["key"] for record in current)
