"""Who may read: never one reader too many, whatever folders, roles, classes, groups and anonymous grants a site has."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_strategies.atlassian.readers import ANYONE, Level, effective_readers
from ingest_strategies.confluence import http
from ingest_strategies.confluence.api.cloud import CloudApi
from ingest_strategies.confluence.api.data_center import DataCenterApi
from tests.strategies.confluence.site import Lake, endpoint_of

pytestmark = pytest.mark.slow
Mode = Literal["cloud", "dc"]


def rehearsal_of(sim: Simulation, unit: str, mode: RunMode = RunMode.INCREMENTAL, **config: Any) -> Rehearsal:
    config = {"retry_wait_s": 0.001, **config}
    return Rehearsal(http, Lake(Path(), endpoint_of(sim, **config), unit=unit, mode=mode).spec())


def granted(sim: Simulation, readers: list[str], lists: dict[str, Any] | None = None) -> set[str]:
    """The people with a licence who are among some readers."""
    lists = lists or {kind: list(sim.expected(kind)) for kind in ("users", "groups")}
    name, group_name = ("account_id", "id") if sim.mode == "cloud" else ("key", "name")
    people = [(user[name], user["active"] and user["kind"] == "atlassian") for user in lists["users"]]
    licensed = {person for person, is_licensed in people if is_licensed}
    members = {group[group_name]: {people[n][0] for n in group["members"]} for group in lists["groups"]}
    found: set[str] = set()
    for reader in readers:
        kind, _, identity = reader.partition(":")
        match kind:
            case "user":
                found.add(identity)
            case "group":
                found |= members[identity]
            case _:
                assert reader in (ANYONE, "class:all-licensed-users")
                found |= licensed
    return found & licensed


def restrict_at_random(sim: Simulation, seed: int, *, share: int, folders: bool) -> None:
    for number, readers in enumerate((["u0", "u3", "g1"], ["g0"], ["u0", "u2"], ["g1", "g2", "u0"])):
        sim.mutate("restrict", count=share, seed=seed + number, readers=readers)
    if folders:
        containers = [container["id"] for container in sim.expected("containers")]
        sim.mutate("restrict", ids=containers[::3], readers=["u1"])


SITES: list[tuple[Mode, list[str]]] = [
    ("cloud", []),
    ("cloud", ["space-roles"]),
    ("dc", []),
    ("dc", ["anonymous-spaces=2"]),
    ("dc", ["anonymous-spaces=2", "anonymous-site-off"]),
]


def check_readers(mode: Mode, traps: list[str], seed: int, *, pages: int, spaces: int) -> dict[str, int]:
    """Reads who may read a random site, and compares it with the truth. Returns what was counted."""
    with simulate("confluence", mode, pages=pages, spaces=spaces, seed=seed, traps=traps, frozen=True) as sim:
        restrict_at_random(sim, seed, share=pages // 20, folders=mode == "cloud")
        rehearsal = rehearsal_of(sim, "confluence.acl")
        outcome = rehearsal.run()
        truth = {record["id"]: record for record in sim.expected("readers")}
        rows = {str(key[0]): row for key, row in rehearsal.sink.items()}
        below_folders = {n for n, record in truth.items() if record["folder_above"] and record["status"] != "trashed"}
        assert bool(below_folders) == (mode == "cloud")
        assert {str(reject.raw["id"]) for reject in outcome.rejects} == below_folders
        assert rows.keys() == truth.keys() - below_folders, "archived and trashed ones, too"
        granted_to = cache_granted(sim)
        true = found = 0
        for number, row in rows.items():
            readers, record = granted_to(tuple(row["readers"])), truth[number]
            if record["status"] == "trashed":
                assert row["readers"] == []
                continue
            assert readers <= set(record["users"]), number
            is_open = record["anyone"] and "anonymous-site-off" not in traps
            assert (ANYONE in row["readers"]) == is_open, number
            true, found = true + len(record["users"]), found + len(readers)
        if "anonymous-site-off" not in traps:
            assert found >= 0.999 * true > 0
    restricted = sum(row["is_restricted"] for row in rows.values())
    return {"pages": len(truth), "rows": len(rows), "restricted": restricted, "true": true, "found": found}


def cache_granted(sim: Simulation) -> Callable[[tuple[str, ...]], set[str]]:
    lists = {kind: list(sim.expected(kind)) for kind in ("users", "groups")}
    return cache(lambda readers: granted(sim, list(readers), lists))


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.faults)])
@pytest.mark.parametrize(("mode", "traps"), SITES)
def test_random_trees_have_no_reader_too_many_and_nearly_every_true_one(
    mode: Mode, traps: list[str], seed: int
) -> None:
    check_readers(mode, traps, seed, pages=260, spaces=6)


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(("mode", "traps"), SITES)
def test_a_hundred_thousand_pages_have_no_reader_too_many_and_nearly_every_true_one(
    mode: Mode, traps: list[str]
) -> None:
    print(mode, traps, check_readers(mode, traps, 7, pages=100_000, spaces=40))


def test_what_is_below_a_folder_is_read_by_consent_as_if_the_folder_were_open() -> None:
    with simulate("confluence", "cloud", pages=200, spaces=2, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, "confluence.page", acl="required", acl_folders="open")
        assert rehearsal.run().rejects == []
        closed = rehearsal_of(sim, "confluence.page", acl="required")
        rejects = closed.run().rejects
        assert rejects
        assert all(
            "folder" in reject.reason or "board" in reject.reason or "acl_folders" in reject.reason
            for reject in rejects
        )


def test_levels_that_are_open_to_every_account_narrow_nothing_but_anyone() -> None:
    def of(*names: str) -> Level:
        return Level("page", "1", frozenset(names))

    licensed, logged_in = "class:all-licensed-users", "class:authenticated-users"
    members = {"group:g": frozenset({"user:a", "user:b"})}
    cases = [
        ([of(ANYONE)], (ANYONE,)),
        ([of(licensed), of("user:a")], ("user:a",)),
        ([of(ANYONE), of(licensed)], (licensed,)),
        ([of(logged_in), of(licensed, "user:x")], (licensed,)),
        ([of(licensed), of("group:g"), of("user:a")], ("user:a",)),
        ([of("class:all-product-admins", "user:b"), of("group:g")], ("user:b",)),
        ([of("class:all-product-admins")], ("class:all-product-admins",)),
    ]
    for levels, readers in cases:
        assert effective_readers(levels, lambda group: members[group]) == readers


@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize("run_mode", [RunMode.INCREMENTAL, RunMode.FULL])
def test_access_rows_follow_their_page_in_the_same_run(tmp_path: Path, mode: Mode, run_mode: RunMode) -> None:
    with simulate("confluence", mode, pages=120, spaces=2, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, acl_folders="open"), unit="confluence.acl", mode=run_mode)
        assert lake.run().state is RunState.SUCCEEDED
        truth = {record["id"]: record for record in sim.expected("readers")}
        rows = lake.rows()
        assert any(record["status"] == "archived" for record in truth.values()), "archived before the first load"
        assert {n for n, row in rows.items() if row["readers"]} == {
            n for n, record in truth.items() if record["status"] != "trashed" and record["users"]
        }
        archived = [str(n) for n in sim.mutate("archive", count=3, seed=1)]
        trashed = [str(n) for n in sim.mutate("trash", count=3, seed=2)]
        restricted = [str(n) for n in sim.mutate("restrict", ids=archived, readers=["u0"])]
        away = [str(n) for n in sim.mutate("restrict", count=2, seed=3, readers=["u1"])]
        sim.advance_clock(300)
        assert lake.run().state is RunState.SUCCEEDED
        rows = lake.rows()
        assert restricted == archived
        me = next(iter(sim.expected("users")))["account_id" if mode == "cloud" else "key"]
        for number in set(archived) - set(away) - set(trashed):
            assert granted(sim, rows[number]["readers"]) <= {me}
        for number in set(trashed) - set(away):
            assert not rows.get(number, {}).get("readers")
        if run_mode is RunMode.FULL:
            assert not rows.keys() & set(away), "what was restricted away from the account has no access row"


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_a_group_that_was_deleted_has_no_members_and_fails_nothing(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = CloudApi if mode == "cloud" else DataCenterApi
    real = kind.list_members
    with simulate("confluence", mode, pages=60, spaces=1, frozen=True) as sim:
        sim.mutate("restrict", count=20, seed=1, readers=["g1", "u0"])
        config = {"acl_folders": "open"} if mode == "cloud" else {}
        before = rehearsal_of(sim, "confluence.acl", **config).run().rows

        def list_members(self: Any, group: str) -> frozenset[str]:
            return real(self, f"{group}-gone")

        monkeypatch.setattr(kind, "list_members", list_members)
        outcome = rehearsal_of(sim, "confluence.acl", **config).run()
    assert outcome.rejects == []
    assert len(outcome.rows) == len(before)
    for row, known in zip(outcome.rows, before, strict=True):
        assert set(row["readers"]) <= set(known["readers"])


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_a_reconcile_keeps_every_version_of_an_archived_page(tmp_path: Path, mode: Mode) -> None:
    with simulate("confluence", mode, pages=60, spaces=1, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), unit="confluence.revision")
        assert lake.run().state is RunState.SUCCEEDED
        before = lake.rows()
        number = next(n for n, count in _versions(before).items() if count > 3)
        sim.mutate("archive", ids=[number])
        sim.advance_clock(300)
        report = lake.reconcile()
        assert report.error is None
        assert _versions(lake.rows())[number] == _versions(before)[number]


def _versions(rows: dict[Any, dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for page, _ in rows:
        counts[page] = counts.get(page, 0) + 1
    return counts
