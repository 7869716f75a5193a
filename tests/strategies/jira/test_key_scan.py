"""A key scan, from which deletes are derived, is complete or an error."""

from pathlib import Path

import pytest

from ingest_ray.sdk.errors import IngestError, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import UnitSpec
from ingest_ray.simulators.atlassian import simulate
from ingest_strategies.jira import http
from ingest_strategies.jira.api import cloud
from ingest_strategies.jira.reading.key_scan import open_key_scan
from tests.strategies.jira.site import Lake, children_of, endpoint_of


def all_ids(spec: UnitSpec) -> list[str]:
    with open_key_scan(spec) as key_scan:
        return [number for segment in key_scan.list_segments() for number in key_scan.list_ids(segment)]


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_g61_a_key_scan_has_every_id_of_every_project(mode: str) -> None:
    with simulate(mode=mode, issues=500, projects=4, traps=["dc-caps=60", "short-pages=40"]) as sim:  # type: ignore[arg-type]
        spec = Lake(Path(), endpoint_of(sim)).spec()
        gone = {str(number) for number in sim.mutate("delete", count=20, seed=1)}
        ids = all_ids(spec)
        assert len(set(ids)) == len(ids)
        assert set(ids) == {record["id"] for record in sim.expected("issues", brief=True)}
        assert not set(ids) & gone


def test_g61_a_unit_filter_makes_nothing_absent() -> None:
    with simulate(issues=200, projects=2, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim))
        lake.filters = {"jiraFilter": {"statuses": ["Done"], "projectKeys": ["APO"]}}
        assert set(all_ids(lake.spec())) == {
            r["id"] for r in sim.expected("issues", brief=True) if r["project"] == "APO"
        }


@pytest.mark.parametrize(
    ("mode", "traps", "error"),
    [
        ("cloud", ["expired-credentials=after:4"], SourceDenied),
        ("cloud", ["repeated-token=1"], SourceUnavailable),
        ("dc", ["expired-credentials=after:4"], SourceDenied),
        ("dc", ["captcha-lock=after:5"], SourceDenied),
        ("cloud", ["login-page=after:4"], SourceDenied),
    ],
)
def test_g61_a_key_scan_that_is_not_complete_is_an_error(
    mode: str, traps: list[str], error: type[IngestError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "MOST_IDS", 50)
    with simulate(mode=mode, issues=300, projects=2) as sim:  # type: ignore[arg-type]
        spec = Lake(Path(), endpoint_of(sim)).spec()
        sim.add_traps("dc-caps=40", *traps)
        with pytest.raises(error):
            all_ids(spec)


def test_g61_a_login_that_is_lost_silently_is_noticed_after_the_last_id() -> None:
    with simulate(issues=60, projects=1) as sim:
        spec = Lake(Path(), endpoint_of(sim)).spec()
        with open_key_scan(spec) as key_scan:
            ids = key_scan.list_ids("APO")
            assert len([next(ids) for _ in range(60)]) == 60
            sim.rotate_token()
            with pytest.raises(SourceDenied):
                list(ids)


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_g62_only_a_404_is_an_absence(mode: str) -> None:
    with simulate(mode=mode, issues=100, projects=2, traps=["forbidden-403=1"]) as sim:  # type: ignore[arg-type]
        spec = Lake(Path(), endpoint_of(sim)).spec()
        known = list(sim.expected("issues", brief=True))
        allowed = [record["id"] for record in known if record["project"] == "BOR"]
        forbidden = next(record["id"] for record in known if record["project"] == "APO")
        deleted = sim.mutate("delete", ids=[allowed[0]])[0]
        with open_key_scan(spec) as key_scan:
            assert key_scan.is_gone(str(deleted))
            assert not key_scan.is_gone(allowed[1])
            with pytest.raises(SourceDenied):
                key_scan.is_gone(forbidden)
            sim.rotate_token()
            with pytest.raises(SourceDenied):
                key_scan.is_gone(str(deleted))


@pytest.mark.parametrize(
    ("unit", "inner"), [("jira.comments", "comment"), ("jira.worklogs", "worklog"), ("jira.changelogs", "changelog")]
)
def test_g61_the_key_scan_of_children_of_issues_is_complete(unit: str, inner: str) -> None:
    with simulate(issues=150, projects=2, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim), unit=unit)
        batches = list(http.scan_keys(lake.spec()))
        assert {batch.schema.names[0] for batch in batches} == {"id"}
        ids = [number for batch in batches for number in batch.column(0).to_pylist()]
        assert sorted(ids) == sorted(child["id"] for _, child in children_of(sim, inner))


def test_g61_an_unreadable_issue_fails_the_key_scan_of_comments() -> None:
    with simulate(issues=150, projects=1, traps=["poison-500=1"], frozen=True) as sim:
        spec = Lake(Path(), endpoint_of(sim, retry_wait_s=0.001), unit="jira.comments").spec()
        with pytest.raises(SourceUnavailable):
            list(http.scan_keys(spec))
