"""Which issues a run reads, given what is committed and the unit's filters."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError, FilterConflict, FilterUnsupported, ModeUnsupported
from ingest_ray.sdk.types import Effect, Endpoint, Policy, RunMode, WriteMode
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal, Stopped
from ingest_strategies.jira import http
from ingest_strategies.jira.config import parse_config
from tests.strategies.jira.site import Lake, endpoint_of

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000


def ids_of(sim: Simulation, **fields: Any) -> set[str]:
    issues = sim.expected("issues", brief=True)
    return {r["id"] for r in issues if all(r[name] == value for name, value in fields.items())}


def stored_ids(rehearsal: Rehearsal) -> set[str]:
    return {str(key[0]) for key in rehearsal.sink}


def set_filter(lake: Lake, rehearsal: Rehearsal, **unit_filter: Any) -> None:
    lake.filters = {"jiraFilter": unit_filter}
    rehearsal.spec = lake.spec()


def test_a_new_project_starts_from_updated_from_and_an_old_one_goes_on_from_its_watermark() -> None:
    with simulate(issues=300, projects=3, frozen=True) as sim:
        recent = sim.now_ms() - 60 * 24 * HOUR_MS
        iso = "2026-01-01T09:30:00+00:00"
        lake = Lake(Path(), endpoint_of(sim))
        lake.filters = {"jiraFilter": {"projectKeys": ["APO"]}}
        rehearsal = Rehearsal(http, lake.spec())
        rehearsal.run()
        assert stored_ids(rehearsal) == ids_of(sim, project="APO")
        watermark = rehearsal.states["APO"].watermark
        set_filter(lake, rehearsal, projectKeys=["APO", "BOR"], updatedFrom=iso)
        rehearsal.run()
        fresh = {r["id"] for r in sim.expected("issues", brief=True) if r["updated_ms"] >= recent}
        assert stored_ids(rehearsal) == ids_of(sim, project="APO") | (ids_of(sim, project="BOR") & fresh)
        assert rehearsal.states["APO"].watermark == watermark

        set_filter(lake, rehearsal, projectKeys=["BOR"])
        sim.mutate("update", count=10, project="APO")
        sim.mutate("update", count=10, project="BOR", seed=3)
        sim.advance_clock(120)
        narrowed = rehearsal.run()
        assert {piece.segment for piece in narrowed.slices} == {"BOR"}
        assert rehearsal.states["APO"].watermark == watermark, "narrowing changes no cursor"
        set_filter(lake, rehearsal, projectKeys=["APO", "BOR"])
        assert sum(row["project"] == "APO" for row in rehearsal.run().rows) == 10


def test_filters_by_status_and_assignee_select_matching_issues() -> None:
    with simulate(issues=300, projects=2, frozen=True) as sim:
        issues = [record["issue"] for record in sim.expected("issues")]
        assignee = next(i["fields"]["assignee"]["accountId"] for i in issues if i["fields"]["assignee"])
        lake = Lake(Path(), endpoint_of(sim, jql_filter='issuetype != "Bug" OR priority = High'))
        lake.filters = {"jiraFilter": {"statuses": ["Done", "In Progress"], "assigneeIds": [assignee]}}
        rehearsal = Rehearsal(http, lake.spec())
        rehearsal.run()
        matching = {
            i["id"]
            for i in issues
            if i["fields"]["status"]["name"] in ("Done", "In Progress")
            and (i["fields"]["assignee"] or {}).get("accountId") == assignee
            and (i["fields"]["issuetype"]["name"] != "Bug" or (i["fields"]["priority"] or {}).get("name") == "High")
        }
        assert matching
        assert stored_ids(rehearsal) == matching


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_windows_hold_at_most_their_target_and_end_at_whole_minutes(mode: str) -> None:
    with simulate(mode=mode, issues=800, projects=2, frozen=True) as sim:  # type: ignore[arg-type]
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, slice_issues=50)).spec())
        sim.reset_stats()
        outcome = rehearsal.run()
        assert stored_ids(rehearsal) == ids_of(sim)
        for piece in outcome.slices:
            bounds = [position[0] for position in (piece.interval.lower, piece.interval.upper) if position]
            assert all(int(bound) % 60_000 == 0 for bound in bounds)
            width = int(bounds[1]) - int(bounds[0]) if len(bounds) == 2 else 60_001
            assert piece.estimated_rows is not None
            assert piece.estimated_rows <= 50 or width <= 60_000
        assert len(outcome.slices) <= 2 * 800 / 50 + 4, "small neighbours are joined"


def test_a_killed_run_is_resumed_where_it_stopped() -> None:
    with simulate(issues=400, projects=2, frozen=True) as sim:
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, slice_issues=40)).spec())
        with pytest.raises(Stopped):
            rehearsal.run(stop_after=4)
        done = stored_ids(rehearsal)
        sim.advance_clock(600)
        again = rehearsal.run()
        assert stored_ids(rehearsal) == ids_of(sim)
        advanced = [row for row in again.rows if row["id"] in done]
        assert len(again.rows) <= 400 - len(done) + len(advanced)
        assert not advanced, "what was committed is not read again"


def test_a_look_back_that_was_not_finished_is_resumed() -> None:
    with simulate(issues=60, projects=1) as sim:
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim)).spec())
        sim.mutate("update", count=5)
        sim.advance_clock(120)
        rehearsal.run()
        sim.mutate("update", count=3, seed=2)
        sim.advance_clock(120)
        with pytest.raises(Stopped):
            rehearsal.run(stop_after=1)
        unfinished = [scope for scope in rehearsal.states["APO"].scopes if scope.effect is Effect.REPEAT]
        assert len(unfinished) == 1
        sim.advance_clock(7200)
        assert any(scope.scope_id == unfinished[0].scope_id for scope in rehearsal.run().scopes)
        assert rehearsal.states["APO"].scopes == ()


@pytest.mark.parametrize(
    ("filters", "policy", "mode", "error"),
    [
        ({"confluenceFilter": {}}, {}, RunMode.INCREMENTAL, FilterUnsupported),
        ({"jiraFilter": {}, "confluenceFilter": {}}, {}, RunMode.INCREMENTAL, FilterConflict),
        ({"jiraFilter": {"projectKey": ["A"]}}, {}, RunMode.INCREMENTAL, ConfigError),
        ({"jiraFilter": {"updatedFrom": "yesterday"}}, {}, RunMode.INCREMENTAL, ConfigError),
        ({}, {"where": "x"}, RunMode.FULL, ConfigError),
        ({}, {"cursor": "created"}, RunMode.INCREMENTAL, ConfigError),
        ({}, {"write": WriteMode.APPEND}, RunMode.INCREMENTAL, ModeUnsupported),
        ({}, {"write": WriteMode.REPLACE}, RunMode.INCREMENTAL, ModeUnsupported),
        ({}, {"primary_key": ("key",)}, RunMode.INCREMENTAL, ConfigError),
    ],
)
def test_an_unsupported_configuration_is_refused_without_a_request(
    static_site: Simulation, filters: dict[str, Any], policy: dict[str, Any], mode: RunMode, error: type[Exception]
) -> None:
    spec = Lake(Path(), endpoint_of(static_site)).spec()
    update = {"filters": filters, "policy": Policy(**policy), "run_mode": mode}
    static_site.reset_stats()
    with pytest.raises(error):
        http.check(spec.model_copy(update={"config": spec.config.model_copy(update=update)}))
    assert static_site.stats()["requests"] == 0


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "https://me:secret@example.org"},
        {"base_url": "example.org"},
        {"jql_filter": "a = 1 ORDER BY b"},
        {"jql_filter": "a = 1) OR (b = 2"},
        {"jql_filter": "a = (1"},
        {"jql_filter": 'a = "1'},
        {"username": None},
        {"flavour": "sweet"},
    ],
)
def test_the_error_of_a_bad_endpoint_names_the_field_and_shows_no_value(config: dict[str, Any]) -> None:
    good = {"base_url": "https://example.org", "username": "u", "api_token": "hidden"}
    with pytest.raises(ConfigError) as caught:
        parse_config(Endpoint(endpoint_id="j", template="jira.http", config=good | config))
    assert f"'{next(iter(config))}'" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_c28_an_interval_that_a_person_chooses_is_read_again_without_effect_on_progress() -> None:
    with simulate(issues=300, projects=2, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim))
        spec = lake.spec()
        lower, upper = "2025-11-01T00:00:00Z", "2026-02-01"
        with http.probe(spec, {}) as probe:
            scopes = http.between(spec, probe, {}, lower, upper)
            assert {scope.effect for scope in scopes} == {Effect.AHEAD}
            bounds = [(scope.target.lower, scope.target.upper) for scope in scopes]
            assert bounds == [((1761955200000,), (1769904000000,))] * 2
            with pytest.raises(ConfigError, match="no time"):
                http.between(spec, probe, {}, "soon", None)


def test_a_dataset_is_described_as_it_was_collected(static_site: Simulation) -> None:
    endpoint = endpoint_of(static_site)
    for dataset in http.collect(endpoint):
        assert http.describe(endpoint, dataset) == dataset
