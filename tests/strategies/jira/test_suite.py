"""The behaviour suite of strategies, on Cloud and Data Center, for a unit of each kind."""

import pytest

from ingest_ray.sdk.types import Policy, UnitSpec
from ingest_ray.simulators.atlassian import Simulation
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.suites.strategy import KnownUnit, StrategySuite
from ingest_strategies.jira import http
from tests.strategies.jira.site import children_of, endpoint_of, issues_of

pytestmark = pytest.mark.slow


def known_unit(sim: Simulation, name: str, **config: int) -> KnownUnit:
    """The rows are those of a FULL run; other tests compare them with the simulator."""
    endpoint = endpoint_of(sim, **config)
    bare = KnownUnit(http, endpoint, name, rows=[], secrets=(sim.token,))
    spec: UnitSpec = bare.spec()
    rows = Rehearsal(http, spec).run().rows
    expected = {"jira.issues": len(issues_of(sim)), "jira.comments": sum(1 for _ in children_of(sim, "comment"))}
    assert len(rows) == expected[name]
    return KnownUnit(
        http, endpoint, name, rows=rows, secrets=(sim.token,), policy=Policy(target_slice_bytes=512 * 1024)
    )


@pytest.fixture(scope="module")
def issues(static_site: Simulation) -> KnownUnit:
    return known_unit(static_site, "jira.issues")


@pytest.fixture(scope="module")
def comments(static_site: Simulation) -> KnownUnit:
    return known_unit(static_site, "jira.comments", slice_issues=30)


@pytest.fixture(scope="module")
def users(static_site: Simulation) -> KnownUnit:
    endpoint = endpoint_of(static_site)
    rows = Rehearsal(http, KnownUnit(http, endpoint, "jira.users", rows=[]).spec()).run().rows
    people = list(static_site.expected("users"))
    listed = {person.get("accountId") or person["key"] for person in people if person.get("accountType") != "app"}
    assert {row["account_id"] for row in rows} == listed
    return KnownUnit(http, endpoint, "jira.users", rows=rows, secrets=(static_site.token,), least_slices=1)


class TestIssues(StrategySuite):
    @pytest.fixture
    def known(self, issues: KnownUnit) -> KnownUnit:
        return issues


class TestComments(StrategySuite):
    @pytest.fixture
    def known(self, comments: KnownUnit) -> KnownUnit:
        return comments


class TestUsers(StrategySuite):
    @pytest.fixture
    def known(self, users: KnownUnit) -> KnownUnit:
        return users


def test_the_lists_behind_filter_options_have_no_unit(static_site: Simulation) -> None:
    datasets = list(http.collect(endpoint_of(static_site)))
    units = {unit.unit_id for unit in http.list_units(endpoint_of(static_site), datasets)}
    names = "filters groups group_members versions components project_roles permission_grants security_levels field_options boards"
    names += " sprints sprint_issues status_categories projects users"
    of_issues = "issues comments worklogs changelogs issue_links remote_links watchers votes attachments requests acl"
    assert units == {f"jira.{name}" for name in f"{names} {of_issues}".split()}
    options = {dataset.name: dataset.facts["options"] for dataset in datasets if dataset.facts.get("options")}
    assert options.keys() == {f"jira.{name}" for name in ("projects", "users", "statuses", "priorities", "issue_types")}
    statuses = options["jira.statuses"]
    assert isinstance(statuses, list)
    assert {option["name"] for option in statuses if isinstance(option, dict)} >= {"To Do", "Done"}
