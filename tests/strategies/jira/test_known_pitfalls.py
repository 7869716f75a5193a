"""Pitfalls that have broken other readers of Jira: section E of the conformance list."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.http.permits import LocalPermits, using
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_strategies.jira import http
from ingest_strategies.jira.api import cloud
from tests.strategies.jira.site import Lake, assert_exact, comparable, endpoint_of, issues_of

pytestmark = pytest.mark.slow


def assert_rehearsed(rehearsal: Rehearsal, sim: Simulation, *, at_least: bool = False) -> None:
    """The sink has the simulator's issues; `at_least`: and perhaps some that were deleted since."""
    rows = {key[0]: row for key, row in rehearsal.sink.items()}
    truth = issues_of(sim)
    assert rows.keys() >= truth.keys() if at_least else rows.keys() == truth.keys()
    for number, record in truth.items():
        stored = comparable(json.loads(rows[number]["payload"]), own=True)
        assert stored == comparable(record["issue"], own=True), number


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_e42_no_edit_around_a_change_of_the_clock_is_missed_at_minute_precision(mode: str) -> None:
    with simulate(mode=mode, issues=240, projects=2, traps=["dst-zone", "epoch-minutes"], frozen=True) as sim:  # type: ignore[arg-type]
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, slice_issues=25)).spec())
        rehearsal.run()
        assert len(rehearsal.outcome.rows) == 240
        assert_rehearsed(rehearsal, sim)
        sim.mutate("update", count=40, seed=9)
        sim.advance_clock(90)
        rehearsal.run()
        assert_rehearsed(rehearsal, sim)


@pytest.mark.parametrize(
    "traps",
    [["short-pages=20"], ["missing-islast"], ["short-pages=30", "missing-islast"], ["expired-token=2", "short-pages=30"],
     ["no-token-absent-on-last-page"]],
)  # fmt: skip
def test_e43_pages_by_token_are_read_to_the_end(traps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "MOST_IDS", 60)
    with simulate(issues=400, projects=1, traps=traps, frozen=True) as sim:
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim)).spec())
        rehearsal.run()
        assert_rehearsed(rehearsal, sim)
        assert sim.stats()["endpoints"]["POST /rest/api/{api}/search/jql"] > 5


def test_e43_a_token_that_comes_again_is_an_error_and_never_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "MOST_IDS", 60)
    with simulate(issues=400, projects=1, traps=["repeated-token=1"], frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), policy={"max_attempts": 1})
        summary = lake.run()
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_SOURCE_PAGE_FAILED"
    assert "token" in summary.error.message
    assert summary.rows.committed == 0
    assert summary.watermarks == {"APO": None}


def test_e44_no_removed_endpoint_is_used_and_the_deployment_is_found_by_itself() -> None:
    used = {}
    for mode in ("cloud", "dc"):
        with simulate(mode=mode, issues=60, projects=1, frozen=True) as sim:  # type: ignore[arg-type]
            rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim)).spec())
            rehearsal.run()
            assert_rehearsed(rehearsal, sim)
            stats = sim.stats()
            assert stats["statuses"].keys() == {"200"}
            used[mode] = {name for name in stats["endpoints"] if "search" in name}
    assert "POST /rest/api/{api}/search" not in used["cloud"]
    assert "POST /rest/api/{api}/search/jql" in used["cloud"]
    assert used["dc"] == {"POST /rest/api/{api}/search"}


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_e45_issues_that_change_move_and_go_while_they_are_read_are_not_lost(mode: str) -> None:
    with simulate(mode=mode, issues=240, projects=4) as sim:  # type: ignore[arg-type]
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, slice_issues=20)).spec())

        def change_issues(number: int) -> None:
            sim.mutate_all(
                {"op": "update", "count": 8, "seed": number},
                {"op": "move", "count": 3, "seed": number},
                {"op": "create", "count": 2},
                {"op": "comment", "count": 3, "seed": number},
                {"op": "delete", "count": 1, "seed": number},
            )

        first = rehearsal.run(between=change_issues)
        assert len(first.slices) > 12
        sim.advance_clock(120)
        rehearsal.run()
        assert_rehearsed(rehearsal, sim, at_least=True)


def test_e45_an_issue_that_goes_between_its_id_and_its_body_is_no_error(tmp_path: Path) -> None:
    with simulate(issues=400, projects=1, latency_ms=20) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, slice_issues=400, requests_at_once=1))
        lake.collect()
        stop = threading.Event()

        def delete_continuously() -> None:
            seed = 0
            while not stop.is_set():
                seed += 1
                sim.mutate_all({"op": "delete", "count": 2, "seed": seed}, {"op": "restrict", "count": 1, "seed": seed})
                time.sleep(0.02)

        thread = threading.Thread(target=delete_continuously)
        thread.start()
        try:
            summary = lake.run()
        finally:
            stop.set()
            thread.join()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert lake.rows().keys() >= issues_of(sim).keys()


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_e46_what_search_learns_25_minutes_late_is_found_in_old_and_new_intervals(mode: str) -> None:
    with simulate(mode=mode, issues=200, projects=2, traps=["index-lag=1500"], frozen=True) as sim:  # type: ignore[arg-type]
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim)).spec())
        rehearsal.run()
        for seed in range(5):  # edits in five intervals, of which search knows none yet
            sim.mutate("update", count=5, seed=seed)
            sim.advance_clock(240)
            rehearsal.run()
        for _ in range(7):
            sim.advance_clock(300)
            rehearsal.run()
        assert_rehearsed(rehearsal, sim)
        sim.advance_clock(7200)
        rehearsal.run()
        assert rehearsal.run().slices == [], "the look-back ends"


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_e47_an_issue_that_is_always_changing_arrives_all_the_same(mode: str) -> None:
    with simulate(mode=mode, issues=120, projects=1, frozen=True) as sim:  # type: ignore[arg-type]
        busy = next(iter(issues_of(sim)))
        sim.mutate("update", ids=[busy])
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim)).spec())
        for _ in range(4):
            rehearsal.run()
            assert_rehearsed(rehearsal, sim)  # at each run, though it is always above the horizon
            sim.advance_clock(20)
            sim.mutate("update", ids=[busy])


@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize("trap", ["poison-500=3", "poison-json=3"])
def test_e49_an_undecodable_issue_is_found_by_halving_and_alone_in_quarantine(
    tmp_path: Path, mode: str, trap: str
) -> None:
    with simulate(mode=mode, issues=120, projects=1, traps=[trap], frozen=True) as sim:  # type: ignore[arg-type]
        lake = Lake(tmp_path, endpoint_of(sim, retry_wait_s=0.001))
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        bad = {record["id"] for record in sim.expected("issues", brief=True) if record["poison"]}
        truth = issues_of(sim)
    assert len(bad) == 3
    assert summary.rows.quarantined == 3
    assert lake.rows().keys() == truth.keys() - bad
    rejected = [row for path in (tmp_path / "quarantine").rglob("*") if path.is_file() for row in raw_ids(path)]
    assert {row for row in rejected if row} >= bad


def raw_ids(path: Path) -> list[str]:
    text = path.read_text()
    return [str(json.loads(line).get("raw", {}).get("id")) for line in text.splitlines() if line.startswith("{")]


def test_a_site_that_sends_no_large_pages_is_read_in_smaller_ones() -> None:
    with simulate(issues=300, projects=1, traps=["large-page-504=30"], frozen=True) as sim:
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, retry_wait_s=0.001)).spec())
        outcome = rehearsal.run()
        assert outcome.rejects == []
        assert_rehearsed(rehearsal, sim)


DENIED: list[tuple[str, list[str]]] = [
    ("cloud", ["expired-credentials=after:12"]),
    ("cloud", ["expired-credentials=after:12", "no-anonymous-200"]),
    ("cloud", ["forbidden-403=1"]),
    ("cloud", ["login-page=after:12"]),
    ("dc", ["expired-credentials=after:10"]),
    ("dc", ["captcha-lock=after:10"]),
    ("dc", ["login-page=after:10"]),
    ("dc", ["denied-login=after:10"]),
    ("dc", ["sso-redirect=after:10"]),
]


@pytest.mark.parametrize(("mode", "traps"), DENIED)
def test_e50_a_lost_login_is_denied_and_never_empty(tmp_path: Path, mode: str, traps: list[str]) -> None:
    from_start = [trap for trap in traps if trap.startswith(("forbidden", "no-"))]
    with simulate(mode=mode, issues=120, projects=2, traps=from_start) as sim:  # type: ignore[arg-type]
        lake = Lake(tmp_path, endpoint_of(sim, slice_issues=30))
        lake.collect()
        sim.add_traps(*traps)
        summary = lake.run()
        assert summary.state is RunState.FAILED
        assert summary.error is not None
        assert summary.error.code == "E_SOURCE_DENIED"
        assert sim.token not in summary.model_dump_json()
        if "forbidden-403=1" in traps:
            return
        if "expired" in traps[0]:
            lake.endpoint = lake.endpoint.model_copy(
                update={"config": lake.endpoint.config | {"api_token": f"{sim.token}-next"}}
            )
        sim.add_traps(
            "no-login-page", "no-captcha-lock", "no-expired-credentials", "no-denied-login", "no-sso-redirect"
        )
        again = lake.run()
        assert again.state is RunState.SUCCEEDED, again.error
        assert_exact(lake, sim)


def test_e50_a_condition_that_jira_refuses_is_an_error_and_never_empty() -> None:
    with simulate(issues=20, projects=1, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim))
        lake.collect()
        lake.endpoint = endpoint_of(sim, jql_filter="flavour = sweet")
        with pytest.raises(Exception, match="flavour") as caught:
            Rehearsal(http, lake.spec()).run()
        assert getattr(caught.value, "code", None) == "E_SOURCE_PAGE_FAILED"


@pytest.mark.parametrize(
    ("mode", "change", "code"),
    [
        ("cloud", lambda config: {"api_token": "old"}, "E_SOURCE_DENIED"),
        ("dc", lambda config: {"api_token": "old"}, "E_SOURCE_DENIED"),
        ("cloud", lambda config: {"auth_type": "pat", "api_token": "x"}, "E_SOURCE_DENIED"),
        ("cloud", lambda config: {"base_url": config["base_url"] + "/elsewhere"}, "E_SOURCE_PAGE_FAILED"),
    ],
)
def test_e50_the_connection_test_reports_a_bad_login_or_address(
    mode: str, change: Callable[[dict[str, Any]], dict[str, Any]], code: str
) -> None:
    with simulate(mode=mode, issues=20, projects=1, frozen=True) as sim:  # type: ignore[arg-type]
        endpoint = endpoint_of(sim)
        assert http.test(endpoint).ok
        broken = endpoint.model_copy(update={"config": endpoint.config | change(dict(endpoint.config))})
        report = http.test(broken)
    assert not report.ok
    assert report.diagnostics[0].code == code
    assert sim.token not in report.model_dump_json()


def test_e51_a_renamed_field_keeps_its_column_and_doubled_names_are_two_columns() -> None:
    with simulate(issues=60, projects=1, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim))
        rehearsal = Rehearsal(http, lake.spec())
        dataset = lake.datasets["jira.issues"]
        doubled = [column.name for column in dataset.columns if column.description == "Severity"]
        assert doubled == ["customfield_10020", "customfield_10021"]
        rehearsal.run()
        sim.mutate("rename-field", field="customfield_10016", name="Severity")
        rehearsal.run()
        lake.collect()
        renamed = lake.datasets["jira.issues"]
        assert renamed.fingerprint == dataset.fingerprint
        column = renamed.column("customfield_10016")
        assert column is not None
        assert column.description == "Severity"


def test_e51_a_field_of_another_type_stops_the_run_before_it_reads() -> None:
    with simulate(issues=60, projects=1, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim))
        rehearsal = Rehearsal(http, lake.spec())
        schema = {
            "type": "string",
            "custom": "com.atlassian.jira.plugin.system.customfieldtypes:textfield",
            "customId": 10016,
        }
        sim.mutate("rename-field", field="customfield_10016", name="Points", schema=schema)
        sim.reset_stats()
        with pytest.raises(SourceChanged, match="customfield_10016"):
            rehearsal.run()
        assert not any("search/jql" in name or "bulkfetch" in name for name in sim.stats()["endpoints"])
        before = lake.datasets["jira.issues"].fingerprint
        lake.collect()
        assert lake.datasets["jira.issues"].fingerprint != before


@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize(
    ("traps", "rate"),
    [
        (["too-many-requests=25"], 0.0),
        (["endpoint-buckets"], 40.0),
        (["no-retry-after"], 40.0),
    ],
)
def test_e52_refusals_with_and_without_retry_after_are_waited_out(mode: str, traps: list[str], rate: float) -> None:
    with simulate(mode=mode, issues=300, projects=2, traps=traps, rate_limit=rate) as sim, using(LocalPermits()):  # type: ignore[arg-type]
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, slice_issues=60)).spec())
        rehearsal.run()
        assert_rehearsed(rehearsal, sim)
        stats = sim.stats()
    if rate:
        assert stats["too_many_requests"] <= 0.01 * stats["requests"]
    else:
        assert stats["too_many_requests"] > 0


SURVIVED = [
    *((mode, traps) for mode in ("cloud", "dc") for traps in (
        ["server-errors=burst:12:5"],
        ["truncated-bodies=9"],
        ["truncated-json=9"],
        ["cut-compressed=9"],
        ["login-page=at:15"],
        ["too-many-requests-silent=at:20"],
        ["permission-404=10", "localized"],
        ["inline-caps=1"],
    )),
    ("cloud", ["no-inline-caps", "no-fields-default", "search-warnings"]),
    ("cloud", ["issue-errors=10"]),
    ("dc", ["sso-redirect=at:15"]),
    ("dc", ["dc-caps=7"]),
    ("dc", ["deep-start-500=50"]),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "traps"), SURVIVED, ids=lambda value: value if isinstance(value, str) else value[0])
def test_the_trap_is_survived_and_nothing_is_lost(mode: str, traps: list[str]) -> None:
    with simulate(mode=mode, issues=150, projects=2, traps=traps) as sim, using(LocalPermits()):  # type: ignore[arg-type]
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, slice_issues=50)).spec())
        outcome = rehearsal.run()
        assert outcome.rejects == []
        assert_rehearsed(rehearsal, sim)
        if any("at:" in trap or "burst" in trap or "=9" in trap for trap in traps):
            assert sim.stats()["faults"], "the trap did not strike"


def test_the_nodes_of_a_data_center_disagree_and_nothing_is_lost() -> None:
    """Half of the searches see what the site was ten minutes ago, and counts and lists of one slice come from different nodes."""
    traps = ["node-switch=0.5@/search"]
    with simulate(mode="dc", issues=240, projects=2, traps=traps, frozen=True) as sim:
        rehearsal = Rehearsal(http, Lake(Path(), endpoint_of(sim, slice_issues=60)).spec())
        rehearsal.run()
        for seed in range(3):
            sim.mutate_all(
                {"op": "update", "count": 20, "seed": seed},
                {"op": "create", "count": 3},
                {"op": "move", "count": 4, "seed": seed},
                {"op": "delete", "count": 3, "seed": seed},
            )
            sim.advance_clock(200)
            rehearsal.run()
        for _ in range(3):
            sim.advance_clock(400)
            rehearsal.run()
        assert_rehearsed(rehearsal, sim, at_least=True)
        assert sim.stats()["faults"]["node-switch"] > 10


def test_a_field_that_is_removed_while_issues_are_read_costs_its_values_only() -> None:
    with simulate(issues=150, projects=1, frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim, slice_issues=30))
        rehearsal = Rehearsal(http, lake.spec())
        before = issues_of(sim)
        sim.add_traps("field-removed=at:3@bulkfetch")
        outcome = rehearsal.run()
        assert outcome.rejects == []
        held = [row["payload"].count("customfield_10016") for row in outcome.rows]
        assert 0 in held, "the trap did not strike"
        assert max(held), "it struck before the first issue"
        assert_rehearsed_but(rehearsal, before, "customfield_10016")
        with pytest.raises(SourceChanged, match="customfield_10016"):
            rehearsal.run()


def assert_rehearsed_but(rehearsal: Rehearsal, truth: dict[str, dict[str, Any]], field: str) -> None:
    rows = {key[0]: row for key, row in rehearsal.sink.items()}
    assert rows.keys() == truth.keys()
    for number, record in truth.items():
        stored, real = comparable(json.loads(rows[number]["payload"])), comparable(record["issue"])
        stored["fields"].pop(field, None)
        real["fields"].pop(field, None)
        assert stored == real, number
