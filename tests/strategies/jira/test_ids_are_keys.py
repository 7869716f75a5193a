"""JQL has no numeric id: `id > N` compares keys in the project of issue N. No load may depend on it, whatever moves or goes meanwhile."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import RunMode, RunState, UnitSpec
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_strategies.jira import http
from ingest_strategies.jira.api import cloud, data_center
from ingest_strategies.jira.reading.key_scan import open_key_scan
from tests.strategies.jira.site import Lake, endpoint_of

pytestmark = pytest.mark.slow
MODES = ["cloud", "dc"]


def living(sim: Simulation) -> set[str]:
    return {record["id"] for record in sim.expected("issues", brief=True)}


def stored(rehearsal: Rehearsal) -> set[str]:
    return {str(key[0]) for key in rehearsal.sink}


def rehearsal_of(sim: Simulation, mode: RunMode, **config: int) -> Rehearsal:
    return Rehearsal(http, Lake(Path(), endpoint_of(sim, **config), mode=mode).spec())


@pytest.mark.parametrize("run_mode", [RunMode.INCREMENTAL, RunMode.FULL])
def test_one_issue_that_was_moved_in_makes_no_load_of_a_data_center_fail(tmp_path: Path, run_mode: RunMode) -> None:
    with simulate(mode="dc", issues=120, projects=2, frozen=True) as sim:
        oldest = min(living(sim), key=int)
        sim.mutate("move", ids=[oldest], to="BOR")
        sim.advance_clock(600)
        lake = Lake(tmp_path, endpoint_of(sim), mode=run_mode)
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert lake.rows().keys() == living(sim)


@pytest.mark.parametrize("run_mode", [RunMode.INCREMENTAL, RunMode.FULL])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", ["move", "delete", "archive"])
def test_issues_that_leave_while_pages_are_read_take_no_others_with_them(
    mode: str, run_mode: RunMode, op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each page of one project, its last issue and some others go away."""
    monkeypatch.setattr(data_center, "MOST_BODIES", 20)
    monkeypatch.setattr(cloud, "MOST_IDS", 40)
    with simulate(mode=mode, issues=400, projects=2) as sim:  # type: ignore[arg-type]
        rehearsal = rehearsal_of(sim, run_mode, slice_issues=200)
        gone: set[str] = set()

        def take_away(page: list[str]) -> None:
            ids = [page[-1], page[len(page) // 2]]
            remaining = [number for number in ids if number in living(sim)]
            if remaining and len(gone) < 40:
                arguments = {"to": "BOR"} if op == "move" else {}
                gone.update(str(number) for number in sim.mutate(op, ids=remaining, **arguments))

        with after_each_search(monkeypatch, take_away):
            rehearsal.run()
        assert len(gone) > 5
        assert stored(rehearsal) >= living(sim) - gone


class after_each_search:
    """Calls a function with the ids of every page of ids or issues that search gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: Callable[[list[str]], None]) -> None:
        self.monkeypatch, self.call = monkeypatch, call

    def __enter__(self) -> None:
        from ingest_strategies.jira.api.client import JiraClient

        original = JiraClient.post

        def post(client: JiraClient, rest: str, decode: object, document: dict[str, object], tries: object = None):  # type: ignore[no-untyped-def]
            answer = original(client, rest, decode, document, tries)  # type: ignore[arg-type]
            if rest in ("search", "search/jql") and document.get("maxResults") != 1:
                issues = getattr(answer, "issues", [])
                ids = [getattr(issue, "id", None) or data_center._id(issue).id for issue in issues]
                if ids:
                    self.call(ids)
            return answer

        self.monkeypatch.setattr(JiraClient, "post", post)

    def __exit__(self, *_: object) -> None:
        self.monkeypatch.undo()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("trap", ["no-missing-issue-400", "missing-issue-400"])
def test_every_living_unmoved_issue_is_in_a_full_load_during_which_others_are_deleted_and_moved(
    mode: str, trap: str
) -> None:
    with simulate(mode=mode, issues=240, projects=3, traps=[trap]) as sim:  # type: ignore[arg-type]
        rehearsal = rehearsal_of(sim, RunMode.FULL, slice_issues=10)
        moved: set[str] = set()

        def change(number: int) -> None:
            sim.mutate("delete", count=4, seed=number)
            moved.update(map(str, sim.mutate("move", count=3, seed=number)))

        outcome = rehearsal.run(between=change)
        assert len(outcome.slices) > 15
        assert len(moved) > 30
        assert stored(rehearsal) >= living(sim) - moved
        assert len(outcome.rows) == len({row["id"] for row in outcome.rows}) or mode == "dc"


def test_a_full_load_of_a_cloud_site_holds_moved_issues_once() -> None:
    with simulate(issues=240, projects=3) as sim:
        rehearsal = rehearsal_of(sim, RunMode.FULL, slice_issues=10)
        before = living(sim)
        outcome = rehearsal.run(between=lambda number: sim.mutate("move", count=3, seed=number) and None)
        assert sorted(row["id"] for row in outcome.rows) == sorted(before)


@pytest.mark.parametrize("run_mode", [RunMode.INCREMENTAL, RunMode.FULL])
def test_a_page_that_lacks_issues_is_noticed_and_read_again(run_mode: RunMode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "MOST_IDS", 40)
    with simulate(issues=300, projects=1, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, run_mode, slice_issues=150)
        sim.add_traps("skipped-issues=3@/search/jql")
        rehearsal.run()
        assert sim.stats()["faults"].get("skipped-issues", 1)
        assert stored(rehearsal) == living(sim)


def test_pages_that_always_lack_issues_are_read_in_the_other_order_or_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for size in (40, 1000):
        monkeypatch.setattr(cloud, "MOST_IDS", size)
        with simulate(issues=300, projects=1, frozen=True) as sim:
            rehearsal = rehearsal_of(sim, RunMode.FULL, slice_issues=150)
            sim.add_traps("skipped-issues=1@/search/jql")
            with suppress(SourceUnavailable):
                rehearsal.run()
                assert stored(rehearsal) == living(sim)


@pytest.mark.parametrize("run_mode", [RunMode.INCREMENTAL, RunMode.FULL])
def test_counts_that_are_only_about_right_lose_nothing_and_end_nothing(run_mode: RunMode) -> None:
    with simulate(issues=300, projects=3, traps=["inexact-count=20"], frozen=True) as sim:
        rehearsal = rehearsal_of(sim, run_mode, slice_issues=40)
        outcome = rehearsal.run()
        assert stored(rehearsal) == living(sim)
        assert len(outcome.rows) == len(living(sim))
        with open_key_scan(rehearsal.spec) as key_scan:
            assert {key for keys in key_scan.list_all_keys() for key in keys.column(0).to_pylist()} == living(sim)


@pytest.mark.parametrize("mode", MODES)
def test_a_key_scan_is_complete_where_issues_were_moved_in_and_while_others_leave(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_center, "MOST_IDS", 25)
    monkeypatch.setattr(cloud, "MOST_IDS", 25)
    with simulate(mode=mode, issues=300, projects=2) as sim:  # type: ignore[arg-type]
        spec: UnitSpec = Lake(Path(), endpoint_of(sim)).spec()
        gone: set[str] = set()

        def take_away(page: list[str]) -> None:
            if len(gone) < 12 and page[-1] in living(sim):
                gone.update(str(number) for number in sim.mutate("delete", ids=[page[-1]]))

        with after_each_search(monkeypatch, take_away), open_key_scan(spec) as key_scan:
            ids = {key for keys in key_scan.list_all_keys() for key in keys.column(0).to_pylist()}
        assert gone
        assert ids - gone == living(sim)
