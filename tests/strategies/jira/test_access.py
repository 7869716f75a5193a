"""Readers of issues and comments: never one too many in random worlds, nearly all of the true ones, and in the same run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.suites.strategy import KnownUnit
from ingest_strategies.atlassian.readers import EVERY_ACCOUNT
from ingest_strategies.jira import http
from tests.strategies.jira.site import Lake, endpoint_of

Readers = dict[str, tuple[frozenset[str], bool]]
"""By id: the active accounts, and whether everybody may read."""


def read(sim: Simulation, unit: str, **config: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows, and the reasons of those in quarantine."""
    outcome = Rehearsal(http, KnownUnit(http, endpoint_of(sim, **config), unit, rows=[]).spec()).run()
    return outcome.rows, [reject.reason for reject in outcome.rejects]


def expanded(sim: Simulation, rows: Iterable[dict[str, Any]], key: str) -> Readers:
    """The readers of rows, with groups and classes replaced by the active accounts in them."""
    people = {str(person.get("accountId") or person["key"]) for person in sim.expected("users") if person["active"]}
    members = {f"group:{group['id']}": frozenset(group["members"]) & people for group in sim.expected("groups")}
    everybody = dict.fromkeys(("anyone", *EVERY_ACCOUNT), frozenset(people))
    found: Readers = {}
    for row in rows:
        readers: set[str] = set()
        for reader in row["readers"]:
            named = {reader.removeprefix("user:")} & people if reader.startswith("user:") else None
            readers |= named if named is not None else (members | everybody)[reader]
        found[row[key]] = frozenset(readers), "anyone" in row["readers"]
    return found


def compare(found: Readers, truth: dict[str, tuple[set[str], bool]]) -> float:
    """The share of the true readers that were found. Fails for any that is none."""
    true = known = 0
    for number, (readers, is_public) in found.items():
        real, is_really_public = truth[number]
        assert readers <= real, f"{number}: too many"
        assert is_really_public or not is_public, f"{number}: not public"
        known += len(readers)
    true = sum(len(real) for real, _ in truth.values())
    return known / true


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.faults) for seed in (2, 3))])
def test_no_reader_is_too_many_and_nearly_all_are_found(mode: Any, seed: int) -> None:
    with simulate(
        "jira", mode, seed=seed, issues=150, projects=6, users=40, traps=["random-access"], frozen=True
    ) as sim:
        rows, rejects = read(sim, "jira.acl")
        assert not rejects
        truth = {r["id"]: (set(r["readers"]), bool(r["public"])) for r in sim.expected("readers")}
        found = expanded(sim, rows, "issue_id")
        assert found.keys() == truth.keys()
        assert compare(found, truth) >= 0.999
        assert len({row["is_restricted"] for row in rows}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_rows_have_their_readers_where_the_endpoint_requires_it(mode: Any) -> None:
    with simulate("jira", mode, seed=4, issues=300, projects=4, users=40, traps=["random-access"], frozen=True) as sim:
        issues, rejects = read(sim, "jira.issues", acl="required")
        assert not rejects
        acls, _ = read(sim, "jira.acl")
        assert {row["id"]: row["readers"] for row in issues} == {row["issue_id"]: row["readers"] for row in acls}
        comments, rejects = read(sim, "jira.comments", acl="required")
        assert not rejects
        truth = {r["id"]: (set(r["readers"]), bool(r["public"])) for r in sim.expected("comment-readers")}
        assert any(row["visibility"] for row in comments)
        assert compare(expanded(sim, comments, "id"), truth) >= 0.999


def test_without_the_right_to_read_members_restricted_issues_are_in_quarantine_by_name() -> None:
    denied = "denied-403=after:0@issuesecurityschemes"
    with simulate("jira", seed=1, issues=100, projects=2, traps=["random-access", denied], frozen=True) as sim:
        rows, rejects = read(sim, "jira.acl")
        assert rows
        assert all(not row["is_restricted"] for row in rows)
        assert len(rows) + len(rejects) == 100
        assert all("the members of security level 1010" in reason for reason in rejects)


def test_without_the_right_to_read_schemes_the_run_fails_and_says_why(tmp_path: Path) -> None:
    with simulate("jira", issues=60, projects=2, traps=["denied-403=after:0@permissionscheme"], frozen=True) as sim:
        done = Lake(tmp_path, endpoint_of(sim), unit="jira.acl", mode=RunMode.FULL).run()
    assert done.state is RunState.FAILED
    assert "can be determined" in (done.error.message if done.error else "")


def test_an_issue_that_is_restricted_between_two_units_has_its_new_readers_in_the_same_run(tmp_path: Path) -> None:
    with simulate("jira", issues=80, projects=2, frozen=True, traps=["security-mid-run=at:40"]) as sim:
        endpoint = endpoint_of(sim)
        assert Lake(tmp_path / "issues", endpoint).run().state is RunState.SUCCEEDED
        acls = Lake(tmp_path / "acl", endpoint, unit="jira.acl", mode=RunMode.FULL)
        assert acls.run().state is RunState.SUCCEEDED
        truth = {r["id"]: (set(r["readers"]), bool(r["public"])) for r in sim.expected("readers")}
        assert compare(expanded(sim, acls.table().to_pylist(), "issue_id"), truth) == 1.0
        sim.mutate("delete", count=5)
        sim.mutate("restrict", count=5)
        assert acls.run().state is RunState.SUCCEEDED
        living = {record["id"] for record in sim.expected("issues", brief=True)}
        assert {row["issue_id"] for row in acls.table().to_pylist()} == living
