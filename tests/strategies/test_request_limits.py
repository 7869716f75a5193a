"""Requests that are too large are cut; keys of personal spaces and odd text cost nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest_ray.quarantine.rejected_rows import list_quarantine, read_rejected_rows
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint, RunState
from ingest_ray.simulators.atlassian import simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_strategies.confluence.api.deployment import open_api
from ingest_strategies.confluence.config import parse_config
from ingest_strategies.confluence.planning.index_check import find_unindexed
from ingest_strategies.jira import http as jira_http
from tests.fuzz.corruption import damaging
from tests.strategies.confluence import site as wiki
from tests.strategies.jira import site as jira
from tests.strategies.test_odd_objects import Rewriting, objects_of


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_no_address_grows_with_the_number_of_changed_spaces(tmp_path: Path, mode: str) -> None:
    with simulate("confluence", mode, pages=30, spaces=700, frozen=True) as sim:  # type: ignore[arg-type]
        lake = wiki.Lake(tmp_path, wiki.endpoint_of(sim, retry_wait_s=0.001))
        lake.endpoint = wiki.endpoint_of(sim, space_keys=["SP000"])
        lake.collect()
        with open_api(lake.endpoint, lake.datasets["confluence.page"]) as api:
            changed = [("p1", space.key) for space in api.list_spaces()]
            assert len(changed) == 700
            missed = find_unindexed(api, ZoneInfo("UTC"), changed, sim.now_ms() - 60_000)
        assert sum(map(len, missed.values())) == 700
        assert "414" not in sim.stats()["statuses"]


@pytest.mark.parametrize("unit", ["jira.issues", "jira.changelogs"])
def test_a_bulk_request_that_is_too_large_is_halved(unit: str) -> None:
    with simulate(issues=120, projects=1, traps=["large-request-413=30"], frozen=True) as sim:
        rehearsal = Rehearsal(jira_http, jira.Lake(Path(), jira.endpoint_of(sim), unit=unit).spec())
        outcome = rehearsal.run()
        assert outcome.rejects == []
        issues = {row["issue_id"] if unit == "jira.changelogs" else row["id"] for row in outcome.rows}
        assert issues == jira.issues_of(sim).keys()
        assert sim.stats()["statuses"]["413"]


@pytest.mark.parametrize(
    "key", ["~first.last@example.com", "~7120203c5d", "~557058:abc-def", "~o'brien", "A_b-1.c", "~josé"]
)
def test_keys_of_personal_spaces_may_have_dots_and_at_signs(key: str) -> None:
    config = {"base_url": "https://x.example", "username": "u", "api_token": "t", "space_keys": [key]}
    assert parse_config(Endpoint(endpoint_id="w", template="http.confluence", config=config)).space_keys == (key,)
    for bad in ("a b", 'a"b', "a/b", ""):
        with pytest.raises(ConfigError, match="space_keys"):
            parse_config(Endpoint(endpoint_id="w", template="http.confluence", config={**config, "space_keys": [bad]}))


def test_personal_spaces_of_a_data_center_are_read(tmp_path: Path) -> None:
    with simulate("confluence", "dc", pages=80, spaces=8, frozen=True) as sim:
        personal = [space["key"] for space in sim.expected("spaces") if space["key"].startswith("~")]
        assert "@" in personal[0]
        lake = wiki.Lake(tmp_path, wiki.endpoint_of(sim, space_keys=personal, acl="required"))
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        truth = {number for number, page in wiki.pages_of(sim).items() if page["space"] in personal}
        assert lake.rows().keys() == truth


def odd_space_name(path: str, document: Any) -> None:
    for found in objects_of(document):
        if "key" in found and "name" in found and "homepage" in str(found):
            found["name"] = "half a sign \ud800"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_a_title_with_half_a_character_costs_its_own_page_and_a_space_of_such_a_name_none(
    tmp_path: Path, mode: str
) -> None:
    with simulate("confluence", mode, pages=60, spaces=2, frozen=True) as sim:  # type: ignore[arg-type]
        odd = min(number for number, page in wiki.pages_of(sim).items() if page["status"] == "current")

        def change(path: str, document: Any) -> None:
            odd_space_name(path, document)
            for found in objects_of(document):
                if found.get("id") == odd and "title" in found:
                    found["title"] = "half a sign \ud800"

        rewriting: Callable[[str, Any], None] = change
        with damaging(sim.url.rstrip("/"), Rewriting(rewriting)) as url:  # type: ignore[arg-type]
            lake = wiki.Lake(tmp_path, wiki.endpoint_of(sim, base_url=url, retry_wait_s=0.001))
            summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert wiki.pages_of(sim).keys() - lake.rows().keys() == {odd}


def read_rejects(home: Path) -> list[tuple[Any, str]]:
    entries = list_quarantine(f"{home}/quarantine")
    return [(row.raw.get("payload"), row.reason) for entry in entries for row in read_rejected_rows(entry.uri)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_nul_and_half_characters_in_an_issue_cost_no_other(tmp_path: Path, mode: str) -> None:
    with simulate(mode=mode, issues=40, projects=1, frozen=True) as sim:  # type: ignore[arg-type]
        first, second = sorted(jira.issues_of(sim))[:2]

        def change(path: str, document: Any) -> None:
            for found in objects_of(document):
                if isinstance(found.get("fields"), dict) and "created" in found["fields"]:
                    if found["id"] == first:
                        found["fields"]["summary"] = "nul \u0000"
                    if found["id"] == second:
                        found["fields"]["summary"] = "half a sign \ud800"

        with damaging(sim.url.rstrip("/"), Rewriting(change)) as url:  # type: ignore[arg-type]
            lake = jira.Lake(tmp_path, jira.endpoint_of(sim, base_url=url, retry_wait_s=0.001))
            summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert jira.issues_of(sim).keys() - lake.rows().keys() == {second}, read_rejects(tmp_path)
