"""Which content a run reads, given what is committed and the unit's filters."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.errors import (
    ConfigError,
    FilterConflict,
    FilterUnsupported,
    IngestError,
    ModeUnsupported,
    SourceDenied,
)
from ingest_ray.sdk.types import Endpoint, Policy, RunMode, RunState, WriteMode
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal, Stopped
from ingest_strategies.confluence import http
from ingest_strategies.confluence.config import parse_config
from ingest_strategies.confluence.planning import page_tree
from ingest_strategies.confluence.tables import TABLES
from tests.strategies.confluence.site import Lake, assert_pages, attached, endpoint_of, pages_of

pytestmark = pytest.mark.slow

MODES = pytest.mark.parametrize("mode", ["cloud", "dc"])
SURVIVED = [
    ["too-many-requests=burst:30:2"],
    ["too-many-requests-silent=0.03"],
    ["slow-responses=at:30"],
    ["login-page=at:30"],
    ["localized", "permission-404=5"],
    ["short-pages=30", "endpoint-buckets"],
]


def stored_ids(rehearsal: Rehearsal) -> set[str]:
    return {str(key[0]) for key in rehearsal.sink}


def rehearsal_of(sim: Simulation, unit: str = "confluence.page", **config: Any) -> Rehearsal:
    return Rehearsal(http, Lake(Path(), endpoint_of(sim, **config), unit=unit).spec())


def assert_rehearsed(rehearsal: Rehearsal, sim: Simulation) -> None:
    assert_pages({str(key[0]): row for key, row in rehearsal.sink.items()}, sim)


@MODES
def test_a_new_space_starts_from_updated_from_and_an_old_one_goes_on_from_its_watermark(mode: Any) -> None:
    start = "2025-09-01T09:30:00+00:00"
    start_ms = datetime.fromisoformat(start).timestamp() * 1000
    with simulate("confluence", mode, pages=300, spaces=3, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim), filters={"confluenceFilter": {"spaceKeys": ["SP000"]}})
        rehearsal = Rehearsal(http, lake.spec())
        rehearsal.run()
        truth = pages_of(sim, brief=True)
        first = {n for n, r in truth.items() if r["space"] == "SP000"}
        assert stored_ids(rehearsal) == first
        watermark = rehearsal.states["SP000"].watermark
        lake.filters = {"confluenceFilter": {"spaceKeys": ["SP000", "SP001"], "updatedFrom": start}}
        rehearsal.spec = lake.spec()
        rehearsal.run()
        fresh = {n for n, r in truth.items() if r["space"] == "SP001" and r["modified_ms"] >= start_ms}
        assert fresh
        assert stored_ids(rehearsal) == first | fresh
        assert rehearsal.states["SP000"].watermark == watermark


@MODES
def test_after_a_kill_the_next_run_reads_only_missing_pages(mode: Any) -> None:
    with simulate("confluence", mode, pages=600, spaces=2, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, slice_pages=60)
        with pytest.raises(Stopped):
            rehearsal.run(stop_after=5)
        stored = stored_ids(rehearsal)
        assert stored
        rest = rehearsal.run()
        assert {row["id"] for row in rest.rows} == pages_of(sim, brief=True).keys() - stored
        assert_rehearsed(rehearsal, sim)


@MODES
def test_after_a_kill_during_the_reading_of_moved_pages_none_of_them_is_lost(mode: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(page_tree, "PAGES_PER_BUCKET", 4)
    with simulate("confluence", mode, pages=500, spaces=1, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, slice_pages=6)
        rehearsal.run()
        sim.mutate("reparent", count=30, seed=1)
        sim.advance_clock(600)
        with pytest.raises(Stopped):
            rehearsal.run(stop_after=3)
        sim.mutate("trash", count=10, seed=2)
        sim.advance_clock(600)
        with pytest.raises(Stopped):
            rehearsal.run(stop_after=3)
        rehearsal.run()
        assert_rehearsed(rehearsal, sim)
        sim.advance_clock(7_200)
        rehearsal.run()
        assert rehearsal.run().rows == []


@MODES
def test_changes_that_search_lacks_are_found_by_other_listings(mode: Any) -> None:
    with simulate("confluence", mode, pages=300, spaces=2, traps=["index-lag=7200"], frozen=True) as sim:
        rehearsal = rehearsal_of(sim)
        rehearsal.run()
        edited = {str(n) for n in sim.mutate("edit", count=15, seed=1)}
        created = {str(n) for n in sim.mutate("create", count=5)}
        sim.advance_clock(600)
        read = {row["id"] for row in rehearsal.run().rows}
        assert edited | created <= read, "search lacks them still"
        sim.advance_clock(10_000)
        rehearsal.run()
        assert {n for n, row in pages_of(sim, brief=True).items()} == stored_ids(rehearsal)


@MODES
def test_pages_that_change_while_they_are_read_are_not_lost(mode: Any) -> None:
    with simulate("confluence", mode, pages=400, spaces=3) as sim:
        rehearsal = rehearsal_of(sim, slice_pages=40)

        def disturb(number: int) -> None:
            for op in ("edit", "reparent", "trash", "create"):
                sim.mutate(op, count=2, seed=number)

        rehearsal.run(between=disturb)
        sim.advance_clock(3_600)
        rehearsal.run()
        sim.advance_clock(3_600)
        rehearsal.run()
        assert_rehearsed(rehearsal, sim)


@MODES
@pytest.mark.parametrize("traps", SURVIVED, ids=lambda traps: traps[0])
def test_the_trap_is_survived_and_nothing_is_lost(mode: Any, traps: list[str]) -> None:
    with simulate("confluence", mode, pages=240, spaces=2, traps=[t for t in traps if "at:" not in t]) as sim:
        rehearsal = rehearsal_of(sim, retry_wait_s=0.001, slice_pages=60)
        sim.add_traps(*traps)
        rehearsal.run()
        assert_rehearsed(rehearsal, sim)


@MODES
@pytest.mark.parametrize(
    "trap",
    ["expired-credentials=after:12", "captcha-lock=after:12", "denied-login=after:12", "sso-redirect=after:12"],
)
def test_a_lost_login_is_denied_and_never_empty(tmp_path: Path, mode: Any, trap: str) -> None:
    if not trap.startswith("expired") and mode == "cloud":
        pytest.skip("only a Data Center does so")
    with simulate("confluence", mode, pages=240, spaces=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, slice_pages=40))
        lake.collect()
        sim.add_traps(trap)
        summary = lake.run()
        assert summary.state is RunState.FAILED
        assert summary.error is not None
        assert summary.error.code == "E_SOURCE_DENIED"
        with pytest.raises(SourceDenied):
            list(http.scan_keys(lake.spec()))


@MODES
def test_the_connection_test_reports_the_error(mode: Any) -> None:
    with simulate("confluence", mode, pages=20, spaces=2, frozen=True) as sim:
        good = endpoint_of(sim)
        assert http.test(good).ok
        bad = good.model_copy(update={"config": {**good.config, "api_token": "wrong"}})
        report = http.test(bad)
        assert not report.ok
        assert report.diagnostics[0].code == "E_SOURCE_DENIED"
        assert "wrong" not in report.model_dump_json()


@MODES
@pytest.mark.parametrize(
    "unit", ["confluence.comment", "confluence.attachment", "confluence.label", "confluence.revision"]
)
def test_content_of_pages_is_stored_completely_and_only_changes_are_read_again(
    tmp_path: Path, mode: Any, unit: str
) -> None:
    with simulate("confluence", mode, pages=200, spaces=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), unit=unit)
        assert lake.run().state is RunState.SUCCEEDED
        truth: dict[Any, Any] = {}
        match unit:
            case "confluence.comment":
                truth = {one["id"]: one["parent"] for _, one in attached(sim, "comments")}
                assert {key: row["parent_id"] for key, row in lake.rows().items()} == truth
            case "confluence.attachment":
                truth = {one["id"]: one["title"] for _, one in attached(sim, "attachments")}
                assert {key: row["title"] for key, row in lake.rows().items()} == truth
            case "confluence.label":
                truth = {(page["id"], name) for page, name in attached(sim, "labels")}
                assert {(row["page_id"], row["name"]) for row in lake.rows().values()} == truth
            case _:
                truth = {(page["id"], one["number"]): one["author"] for page, one in attached(sim, "versions")}
                assert {key: row["author_id"] for key, row in lake.rows().items()} == truth
        assert lake.run().rows.read == 0
        keys = [key for batch in http.scan_keys(lake.spec()) for key in zip(*batch.to_pydict().values(), strict=True)]
        assert len(keys) == len(truth)
        stored = lake.rows().keys()
        assert {key if len(key) > 1 else key[0] for key in keys} == stored


def test_comments_that_are_new_are_read_and_their_texts_are_whole() -> None:
    with simulate("confluence", pages=200, spaces=2, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, "confluence.comment")
        rehearsal.run()
        sim.mutate("comment", count=5, each=2, seed=1)
        sim.advance_clock(600)
        assert len(rehearsal.run().rows) == 10
        truth = {one["id"]: one["body"] for _, one in attached(sim, "comments")}
        assert {key[0]: row["body"] for key, row in rehearsal.sink.items()} == truth


def test_filters_follow_the_rules_of_jira_filters() -> None:
    with simulate("confluence", pages=20, spaces=2, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim))
        for filters, error in [
            ({"jiraFilter": {}}, FilterUnsupported),
            ({"jiraFilter": {}, "confluenceFilter": {}}, FilterConflict),
            ({"confluenceFilter": {"spaces": ["A"]}}, ConfigError),
            ({"updatedFrom": "soon"}, ConfigError),
        ]:
            lake.filters = filters
            with pytest.raises(error):
                lake.spec()
        lake.filters = {"spaceKeys": ["SP000"]}
        assert lake.spec()


def test_policies_that_do_not_fit_are_refused_without_a_request() -> None:
    with simulate("confluence", pages=20, spaces=2, frozen=True) as sim:
        good = Lake(Path(), endpoint_of(sim)).spec()
    for policy, error in [
        (Policy(where="x"), ConfigError),
        (Policy(cursor="created_at"), ConfigError),
        (Policy(write=WriteMode.APPEND), ModeUnsupported),
        (Policy(primary_key=("title",)), ConfigError),
    ]:
        with pytest.raises(error):
            http.check(good.model_copy(update={"config": good.config.model_copy(update={"policy": policy})}))
    spaces = good.dataset.model_copy(update={"name": "confluence.space"})
    with pytest.raises(ModeUnsupported):
        http.check(good.model_copy(update={"dataset": spaces}))
    assert TABLES["confluence.space"].cursor is None
    assert good.config.run_mode is RunMode.INCREMENTAL


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"base_url": "wiki.example.com"}, "base_url"),
        ({"username": None}, "username"),
        ({"space_keys": ["A B"]}, "space_keys"),
        ({"acl": "some"}, "acl"),
        ({"slice_pages": 0}, "slice_pages"),
        ({"tokn": 1}, "tokn"),
    ],
)
def test_a_config_that_does_not_fit_names_its_field_and_shows_no_secret(config: dict[str, Any], field: str) -> None:
    given = {"base_url": "https://example.com", "username": "a@example.com", "api_token": "geheim", **config}
    with pytest.raises(ConfigError) as caught:
        parse_config(Endpoint(endpoint_id="wiki", template="http.confluence", config=given))
    assert f"'{field}'" in str(caught.value)
    assert "geheim" not in str(caught.value)


@MODES
def test_only_a_404_is_an_absence(mode: Any) -> None:
    with simulate("confluence", mode, pages=100, spaces=3, frozen=True) as sim:
        spec = Lake(Path(), endpoint_of(sim)).spec()
        batch = next(iter(http.scan_keys(spec)))
        trashed = [n for n, r in pages_of(sim, brief=True).items() if r["status"] == "trashed"]
        gone = [str(n) for n in sim.mutate("purge", ids=trashed[:1])]
        known = next(iter(pages_of(sim, brief=True)))
        keys = batch.slice(0, 0).schema
        missing = pa.RecordBatch.from_arrays([pa.array([*gone, known], keys.field(0).type)], schema=keys)
        proven = [key for batch in http.proven_gone(spec, [missing]) for key in batch.column(0).to_pylist()]
        assert proven == gone
        sim.rotate_token()
        with pytest.raises(IngestError):
            list(http.proven_gone(spec, [missing]))


@MODES
def test_a_key_scan_of_a_site_with_a_failing_space_is_an_error(mode: Any) -> None:
    with simulate("confluence", mode, pages=100, spaces=4, traps=["failing-space=1"], frozen=True) as sim:
        spec = Lake(Path(), endpoint_of(sim, retry_wait_s=0.001)).spec()
        with pytest.raises(IngestError):
            list(http.scan_keys(spec))
