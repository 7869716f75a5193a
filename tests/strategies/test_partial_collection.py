"""A list that only feeds filter options, or a count, that cannot be had: it is named, and everything else is collected."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.errors import SourceDenied
from ingest_ray.sdk.types import RunState
from ingest_ray.simulators.atlassian import simulate
from ingest_strategies.jira.api.responses import Field
from ingest_strategies.jira.reading.value_types import schema_text, shape_of
from ingest_strategies.jira.tables import TABLES
from tests.fuzz.corruption import damaging
from tests.strategies.confluence import site as wiki
from tests.strategies.jira import site as jira
from tests.strategies.test_odd_objects import Rewriting


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize(
    ("part", "trap"),
    [
        ("/priority", "denied-403"),
        ("/status", "missing-scope"),
        ("/issuetype", "denied-403"),
        ("/user", "missing-scope"),
    ],
)
def test_a_list_of_options_that_is_refused_is_named_and_issues_are_ingested(
    tmp_path: Path, mode: str, part: str, trap: str
) -> None:
    with simulate(mode=mode, issues=40, projects=2, traps=[f"{trap}=after:0@{part}"], frozen=True) as sim:  # type: ignore[arg-type]
        lake = jira.Lake(tmp_path, jira.endpoint_of(sim))
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert lake.rows().keys() == jira.issues_of(sim).keys()
    faults = {name: dataset.facts["fault"] for name, dataset in lake.datasets.items() if dataset.facts.get("fault")}
    assert len(faults) == 1
    assert len(lake.datasets) == len(TABLES)


def test_a_thousand_users_of_an_old_data_center_are_no_reason_to_collect_nothing() -> None:
    with simulate(
        mode="dc", issues=20, projects=1, users=1100, traps=["denied-404=after:0@user/list"], frozen=True
    ) as sim:
        lake = jira.Lake(Path(), jira.endpoint_of(sim))
        lake.collect()
        users = lake.datasets["jira.users"]
        assert "1000" in str(users.facts["fault"])
        assert len(list(users.facts["options"])) == 1000  # type: ignore[arg-type]
        assert lake.datasets["jira.issues"].estimated_rows == 20


def test_a_lost_login_is_no_missing_list() -> None:
    with simulate(issues=20, projects=1, frozen=True) as sim:
        sim.rotate_token()
        with pytest.raises(SourceDenied):
            jira.Lake(Path(), jira.endpoint_of(sim)).collect()


def test_a_field_with_an_object_in_its_schema_is_a_column_of_json() -> None:
    configuration = {"com.atlassian.jira.plugin.system.customfieldtypes:atlassian-team": True}
    schema = {"type": "team", "custom": "com.atlassian.teams:rm-teams", "customId": 1, "configuration": configuration}
    field = Field(id="customfield_1", name="Team", custom=True, schema=schema)
    assert shape_of(field, is_cloud=True, numbers="decimal") == "json"
    assert schema_text(field) == "team rm-teams"

    def change(path: str, document: Any) -> None:
        if path.endswith("/field"):
            document[-1]["schema"] = schema
            document.append({"name": "no id"})
            document.append(None)

    with simulate(issues=20, projects=1, frozen=True) as sim:
        with damaging(sim.url.rstrip("/"), Rewriting(change)) as url:  # type: ignore[arg-type]
            lake = jira.Lake(Path(), jira.endpoint_of(sim, base_url=url))
            lake.collect()
        assert lake.datasets["jira.issues"].estimated_rows == 20


def test_a_space_that_cannot_be_counted_is_named() -> None:
    with simulate("confluence", pages=40, spaces=3, traps=["denied-403=at:2@/rest/api/search"], frozen=True) as sim:
        lake = wiki.Lake(Path(), wiki.endpoint_of(sim, retry_wait_s=0.001))
        lake.collect()
        pages = lake.datasets["confluence.page"]
        assert str(pages.facts["fault"]).startswith("SP00")
        assert pages.estimated_rows
