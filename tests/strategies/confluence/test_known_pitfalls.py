"""Pitfalls that have broken other readers of Confluence: section F of the conformance list."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_strategies.atlassian import attachment_files
from ingest_strategies.confluence import http
from tests.strategies.confluence.site import Lake, assert_page, assert_pages, attached, endpoint_of, pages_of

pytestmark = pytest.mark.slow

MODES = pytest.mark.parametrize("mode", ["cloud", "dc"])
COUNTED = {"cloud": "GET /wiki/rest/api/search", "dc": "GET /rest/api/search"}


def rehearsal_of(sim: Simulation, unit: str = "confluence.page", **config: Any) -> Rehearsal:
    return Rehearsal(http, Lake(Path(), endpoint_of(sim, **config), unit=unit).spec())


def rows_of(rehearsal: Rehearsal) -> dict[str, dict[str, Any]]:
    return {str(key[0]): row for key, row in rehearsal.sink.items()}


@MODES
@pytest.mark.parametrize(
    "traps", [["dc-caps=60", "undercounted-start=2"], ["empty-next"], ["undercounted-start=7", "empty-next"]]
)
def test_f53_truncated_pages_and_empty_links_neither_lose_nor_double_content(mode: Any, traps: list[str]) -> None:
    with simulate("confluence", mode, pages=250, spaces=3, traps=traps, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, slice_pages=70)
        rehearsal.run()
        assert len(rehearsal.outcome.rows) == 250, "no page is read twice"
        assert_pages(rows_of(rehearsal), sim)
        for unit, name in (("confluence.comment", "comments"), ("confluence.attachment", "attachments")):
            of_pages = rehearsal_of(sim, unit, slice_pages=40)
            of_pages.run()
            assert rows_of(of_pages).keys() == {child["id"] for _, child in attached(sim, name)}


@MODES
@pytest.mark.parametrize("traps", [["repeated-token=1"]])
def test_f53_a_cursor_that_comes_again_is_an_error_and_never_an_end(
    tmp_path: Path, mode: Any, traps: list[str]
) -> None:
    with simulate("confluence", mode, pages=2_000, spaces=1, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, retry_wait_s=0.001), policy={"max_attempts": 1})
        lake.collect()
        sim.add_traps(*traps)
        summary = lake.run()
        assert summary.state is RunState.FAILED
        assert summary.error is not None
        assert "cursor" in summary.error.message
        assert summary.rows.committed == 0


def test_f53_a_cursor_that_is_refused_starts_its_listing_again() -> None:
    with simulate("confluence", pages=700, spaces=1, traps=["expired-token=2"], frozen=True) as sim:
        rehearsal = rehearsal_of(sim)
        rehearsal.run()
        assert_pages(rows_of(rehearsal), sim)


@MODES
@pytest.mark.parametrize(
    ("site_zone", "user_zone"),
    [("Asia/Tokyo", "America/Los_Angeles"), ("America/St_Johns", "UTC"), ("Pacific/Auckland", "Europe/Berlin")],
)
def test_f54_the_zone_in_which_search_reads_times_is_determined(mode: Any, site_zone: str, user_zone: str) -> None:
    with simulate(
        "confluence", mode, pages=200, spaces=2, site_zone=site_zone, user_zone=user_zone, frozen=True
    ) as sim:
        rehearsal = rehearsal_of(sim, slice_pages=30, sweep=False)
        rehearsal.run()
        current = {n for n, r in pages_of(sim, brief=True).items() if r["status"] == "current"}
        assert rows_of(rehearsal).keys() == current
        assert len(rehearsal.outcome.rows) == len(current), "windows touch and do not overlap"
        for seed in range(2):
            edited = {str(n) for n in sim.mutate("edit", count=9, seed=seed)}
            sim.advance_clock(120)
            outcome = rehearsal.run()
            assert edited <= {row["id"] for row in outcome.rows}
        truth = pages_of(sim)
        for number, row in rows_of(rehearsal).items():
            assert_page(row, truth[number], is_cloud=mode == "cloud")


def test_f54_a_zone_that_changed_at_the_site_is_determined_again() -> None:
    with simulate("confluence", pages=120, spaces=1, site_zone="Asia/Tokyo", frozen=True) as sim:
        rehearsal = rehearsal_of(sim, sweep=False)
        facts = rehearsal.spec.dataset.facts
        assert facts["zone"] == "Asia/Tokyo"
        dataset = rehearsal.spec.dataset.model_copy(update={"facts": facts | {"zone": "America/New_York"}})
        rehearsal.spec = rehearsal.spec.model_copy(update={"dataset": dataset})
        rehearsal.run()
        sim.mutate("edit", count=20, seed=3)
        sim.advance_clock(120)
        rehearsal.run()
        assert rehearsal.outcome.probe is not None
        assert rehearsal.outcome.probe.facts["zone"] == "Asia/Tokyo"
        truth = pages_of(sim)
        for number, row in rows_of(rehearsal).items():
            assert_page(row, truth[number], is_cloud=True)


@MODES
@pytest.mark.parametrize("trap", ["poison-500=3", "poison-json=3"])
def test_f55_an_unreadable_page_goes_to_quarantine_alone_and_causes_no_deletes(
    tmp_path: Path, mode: Any, trap: str
) -> None:
    with simulate("confluence", mode, pages=240, spaces=2, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, retry_wait_s=0.001))
        assert lake.run().state is RunState.SUCCEEDED
        assert_pages(lake.rows(), sim)
        poisoned = {str(n) for n in sim.mutate("poison", count=3, seed=4)}
        sim.mutate("edit", ids=sorted(poisoned))
        sim.mutate("edit", count=12, seed=5)
        sim.add_traps(trap)
        sim.advance_clock(600)
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert summary.rows.quarantined >= 3
        assert summary.slices.degraded >= 1
        truth = pages_of(sim)
        for number, row in lake.rows().items():
            if number not in poisoned:
                assert_page(row, truth[number], is_cloud=mode == "cloud")
        report = lake.reconcile()
        assert report.state is RunState.SUCCEEDED, report.error
        assert report.erased == 0
        assert poisoned <= lake.rows().keys(), "a degraded slice feeds no deletes"


@MODES
def test_f55_a_site_that_sends_no_large_pages_is_read_in_smaller_ones(mode: Any) -> None:
    with simulate("confluence", mode, pages=300, spaces=1, traps=["large-page-504=20"], frozen=True) as sim:
        rehearsal = rehearsal_of(sim, retry_wait_s=0.001)
        rehearsal.run()
        assert rehearsal.outcome.rejects == []
        assert_pages(rows_of(rehearsal), sim)


@MODES
def test_f55_transient_errors_are_retried(mode: Any) -> None:
    with simulate("confluence", mode, pages=300, spaces=2, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, retry_wait_s=0.001, slice_pages=60)
        sim.add_traps("server-errors=burst:20:5", "truncated-bodies=0.02", "truncated-json=0.02")
        rehearsal.run()
        assert rehearsal.outcome.rejects == []
        assert_pages(rows_of(rehearsal), sim)


@MODES
def test_f56_where_the_storage_body_fails_the_view_is_stored_and_marked(mode: Any) -> None:
    with simulate("confluence", mode, pages=200, spaces=1, traps=["storage-500=4"], frozen=True) as sim:
        rehearsal = rehearsal_of(sim, retry_wait_s=0.001)
        rehearsal.run()
        truth, rows = pages_of(sim), rows_of(rehearsal)
        failing = {number for number, record in truth.items() if record["storage_fails"]}
        assert failing
        assert rehearsal.outcome.rejects == []
        assert rows.keys() == truth.keys()
        for number, row in rows.items():
            if number in failing:
                assert row["body_format"] == "view"
                assert row["body"]
                assert "500" in row["body_fault"]
                assert row["title"] == truth[number]["title"]
            else:
                assert row["body_fault"] is None
                assert_page(row, truth[number], is_cloud=mode == "cloud")


def failing_site(tmp_path: Path, mode: Any, spaces: int, pages: int, traps: list[str]) -> None:
    with simulate("confluence", mode, pages=pages, spaces=spaces, traps=traps) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, retry_wait_s=0.001), policy={"max_attempts": 2})
        summary = lake.run()
        assert summary.state is RunState.FAILED
        assert summary.error is not None
        bad = int(traps[0].partition("=")[2])
        refused = {f"SP{n:03}" for n in range(1, spaces)} - {key for key in summary.watermarks if "/" not in key}
        assert summary.slices.failed == 2 * bad  # its windows of time, and its pages that search does not find
        truth = pages_of(sim)
        keys = [space["key"] for space in sim.expected("spaces")]
        broken = set(keys[1 : 1 + bad])
        rows = lake.rows()
        assert rows.keys() == {number for number, r in truth.items() if r["space"] not in broken}
        for number, row in rows.items():
            assert_page(row, truth[number], is_cloud=mode == "cloud")
        assert not broken & {key for key, mark in summary.watermarks.items() if mark is not None}, refused


@MODES
@pytest.mark.parametrize("trap", ["failing-space=2", "forbidden-403=2"])
def test_f57_a_space_that_fails_fails_alone(tmp_path: Path, mode: Any, trap: str) -> None:
    failing_site(tmp_path, mode, 12, 150, [trap])


@pytest.mark.faults
@pytest.mark.timeout(1800)
@MODES
def test_f57_of_a_thousand_spaces_thirty_fail_alone(tmp_path: Path, mode: Any) -> None:
    failing_site(tmp_path, mode, 1_010, 1_500, ["forbidden-403=30"])


@MODES
def test_f57_personal_and_archived_spaces_are_read_when_they_are_asked_for(mode: Any) -> None:
    with simulate("confluence", mode, pages=200, spaces=20, frozen=True) as sim:
        spaces = {space["key"]: space for space in sim.expected("spaces")}
        truth = pages_of(sim, brief=True)

        def stored_ids(**config: Any) -> set[str]:
            rehearsal = rehearsal_of(sim, **config)
            rehearsal.run()
            return set(rows_of(rehearsal))

        def expected_ids(**fields: Any) -> set[str]:
            return {
                n for n, r in truth.items() if all(spaces[r["space"]][name] == value for name, value in fields.items())
            }

        assert stored_ids(include_archived=False, include_personal=False) == expected_ids(archived=False, type="global")
        assert stored_ids(include_archived=True, include_personal=False) == expected_ids(type="global")
        assert stored_ids(include_archived=False, include_personal=True) == expected_ids(archived=False)
        archived = next(key for key, space in spaces.items() if space["archived"])
        named = stored_ids(include_archived=False, include_personal=False, space_keys=[archived])
        assert named == {number for number, record in truth.items() if record["space"] == archived}


@MODES
def test_f57_one_large_space_is_many_slices_of_a_hundred_to_five_hundred_pages(mode: Any) -> None:
    with simulate("confluence", mode, pages=3_000, spaces=1, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, slice_pages=250)
        rehearsal.run()
        windows = [piece.hints["items"] for piece in rehearsal.outcome.slices if "items" in piece.hints]
        assert len(windows) >= 12
        assert all(isinstance(items, int) and items <= 500 for items in windows)
        assert sum(isinstance(items, int) and items >= 100 for items in windows) >= len(windows) - 3
        assert rows_of(rehearsal).keys() == pages_of(sim, brief=True).keys()


@MODES
def test_f58_bytes_of_attachments_are_stored_with_their_hash_or_the_reason_why_not(
    tmp_path: Path, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment_files, "PART_BYTES", 10_000)
    store = tmp_path / "objects"
    with simulate("confluence", mode, pages=400, spaces=1, traps=["attachment-errors=6"], frozen=True) as sim:
        config = {"objects_uri": str(store), "attachment_max_bytes": 35_000, "retry_wait_s": 0.001}
        rehearsal = rehearsal_of(sim, "confluence.attachment", **config)
        rehearsal.run()
        truth = {file["id"]: file for _, file in attached(sim, "attachments")}
        rows = rows_of(rehearsal)
        assert rows.keys() == truth.keys()
        kinds = {"stored": 0, "large": 0, "failing": 0}
        for number, row in rows.items():
            file = truth[number]
            assert (row["title"], row["file_size"], row["version"]) == (file["title"], file["size"], file["version"])
            if file["size"] > 35_000:
                kinds["large"] += 1
                assert "attachment_max_bytes" in row["object_fault"]
            elif file["fails"]:
                kinds["failing"] += 1
                assert "404" in row["object_fault"]
            else:
                kinds["stored"] += 1
                assert row["object_fault"] is None
                assert row["sha256"] == file["sha256"]
                assert hashlib.sha256(Path(row["object_uri"]).read_bytes()).hexdigest() == file["sha256"]
            assert (row["object_uri"] is None) == (row["sha256"] is None) == (row["object_fault"] is not None)
        assert all(kinds.values()), kinds
        assert not list(store.rglob("*.part"))
        assert not list(store.rglob("*.tmp"))
        renewed = {f"att{n * 1000 + 500}" for n in sim.mutate("attach-version", count=4, seed=2)}
        sim.advance_clock(600)
        before = dict(rows)
        again = {row["id"]: row for row in rehearsal.run().rows}
        current = {file["id"]: file for _, file in attached(sim, "attachments")}
        assert renewed <= again.keys()
        for number in renewed:
            assert again[number]["version"] > before[number]["version"]
            if again[number]["object_fault"] is None:
                assert again[number]["sha256"] == current[number]["sha256"]


def test_f58_an_interrupted_download_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment_files, "PART_BYTES", 4_000)
    store = tmp_path / "objects"
    with simulate("confluence", pages=120, spaces=1, frozen=True) as sim:
        rehearsal = rehearsal_of(sim, "confluence.attachment", objects_uri=str(store), retry_wait_s=0.001)
        media = "GET /wiki/media/{id}/{file}"
        whole = Rehearsal(http, rehearsal.spec)
        whole.run()
        parts = sim.stats()["endpoints"][media]
        rows = rows_of(whole)
        # As if the process had died in the middle: some files are whole, of others the last parts are missing.
        lost = 0
        for number, row in sorted(rows.items()):
            path = Path(row["object_uri"])
            if int(number.removeprefix("att")) % 3 == 0 or row["file_size"] < 8_001:
                continue
            body = path.read_bytes()
            path.unlink()
            for first in range(0, len(body), 4_000)[:-1]:
                Path(f"{path}.{first}.part").write_bytes(body[first : first + 4_000])
            lost += 1
        assert lost
        sim.reset_stats()
        rehearsal.run()
        assert sim.stats()["endpoints"][media] == lost < parts
        assert {n: row["sha256"] for n, row in rows_of(rehearsal).items()} == {
            n: row["sha256"] for n, row in rows.items()
        }


def may_read(record: dict[str, Any], user: str, groups: set[str]) -> bool:
    """The simulator's own rule: a user must pass every restriction from the top down."""
    return all(
        any(
            reader["id"] in groups
            or reader.get("name") in groups
            or (reader["type"] == "user" and reader["id"] == user)
            for reader in level["readers"]
        )
        for level in record["restrictions"]
    )


@MODES
@pytest.mark.parametrize("traps", [[], ["ancestor-restrictions-404"], ["restrictions-500"]])
def test_f59_readers_are_those_who_pass_every_level(mode: Any, traps: list[str]) -> None:
    with simulate("confluence", mode, pages=240, spaces=1, traps=traps, frozen=True) as sim:
        sim.mutate("restrict", count=25, seed=4, readers=["u0", "u3", "g1"])
        rehearsal = rehearsal_of(sim, "confluence.acl", retry_wait_s=0.001, acl_folders="open")
        rehearsal.run()
        truth = {n: r for n, r in pages_of(sim).items() if r["status"] != "trashed"}
        rows = rows_of(rehearsal)
        assert all(row["readers"] == [] for n, row in rows.items() if n not in truth), "nobody reads the trash"
        rows = {n: row for n, row in rows.items() if n in truth}
        assert rows.keys() == truth.keys()
        users = [user["account_id"] if mode == "cloud" else user["key"] for user in sim.expected("users")]
        groups = list(sim.expected("groups"))
        name = "id" if mode == "cloud" else "name"
        of_user = {users[n]: {group[name] for group in groups if n in group["members"]} for n in range(len(users))}
        nested = 0
        for number, record in truth.items():
            levels = json.loads(rows[number]["acl"])
            assert [level["source_id"] for level in levels[1:]] == [level["page"] for level in record["restrictions"]]
            assert rows[number]["is_restricted"] == bool(record["restrictions"])
            nested += len(record["restrictions"]) > 1
            space = set(levels[0]["readers"])
            for user, mine in of_user.items():
                in_space = f"user:{user}" in space or any(f"group:{group}" in space for group in mine)
                readers = set(rows[number]["readers"])
                is_allowed = f"user:{user}" in readers or any(f"group:{group}" in readers for group in mine)
                assert is_allowed == (in_space and may_read(record, user, mine)), (number, user)
        assert nested, "some page is below a restricted one"


@MODES
@pytest.mark.parametrize("unit", ["confluence.page", "confluence.comment", "confluence.attachment"])
def test_f59_content_is_never_stored_without_its_readers(mode: Any, unit: str) -> None:
    with simulate("confluence", mode, pages=160, spaces=1, frozen=True) as sim:
        acls = rehearsal_of(sim, "confluence.acl", acl_folders="open")
        acls.run()
        readers = {number: row["readers"] for number, row in rows_of(acls).items() if row["readers"]}
        rehearsal = rehearsal_of(sim, unit, acl="required", acl_folders="open", slice_pages=50)
        rehearsal.run()
        assert rehearsal.outcome.rejects == []
        for row in rehearsal.outcome.rows:
            page = row.get("page_id") or row["id"]
            assert row["readers"] is not None, "a row and its readers become visible in one commit"
            assert json.loads(row["acl"])[0]["source_type"] == "space"
            if page in readers:
                assert row["readers"] == readers[page]


@MODES
def test_f59_content_whose_readers_cannot_be_determined_is_not_stored(mode: Any) -> None:
    part = "restriction/byOperation"
    with simulate("confluence", mode, pages=60, spaces=1, traps=["restrictions-500"], frozen=True) as sim:
        rehearsal = rehearsal_of(sim, acl="required", acl_folders="open", retry_wait_s=0.001)
        truth = pages_of(sim)
        above = {page for record in truth.values() for page in record["ancestors"]}
        # Not the homepage, which is above all pages: one that is above some of them.
        page = next(n for n in sorted(above & truth.keys()) if truth[n]["ancestors"])
        sim.add_traps(f"server-errors=after:0@content/{page}/{part}")
        rehearsal.run()
        below = {number for number, record in truth.items() if page in [*record["ancestors"], number]}
        assert 1 < len(below) < len(truth)
        assert {reject.raw["id"] for reject in rehearsal.outcome.rejects} == below
        assert {reject.column for reject in rehearsal.outcome.rejects} == {"acl"}
        assert rows_of(rehearsal).keys() == truth.keys() - below


@MODES
def test_f60_pages_that_are_moved_deleted_or_restored_have_their_current_location(tmp_path: Path, mode: Any) -> None:
    with simulate("confluence", mode, pages=200, spaces=4) as sim:
        lake = Lake(tmp_path, endpoint_of(sim))
        assert lake.run().state is RunState.SUCCEEDED
        assert_pages(lake.rows(), sim)
        for seed, steps in enumerate(
            [("rename", "reparent"), ("move", "trash"), ("archive", "restore"), ("create", "edit")]
        ):
            for op in steps:
                sim.mutate(op, count=6, seed=seed)
            sim.advance_clock(1_800)
            summary = lake.run()
            assert summary.state is RunState.SUCCEEDED, (steps, summary.error)
            assert_pages(lake.rows(), sim)
        sim.advance_clock(3_600)
        lake.run()
        assert lake.run().rows.read == 0, "when nothing changes nothing is read"
        trashed = [n for n, record in pages_of(sim, brief=True).items() if record["status"] == "trashed"]
        purged = {str(n) for n in sim.mutate("purge", ids=trashed[:3])}
        assert len(purged) == 3
        report = lake.reconcile()
        assert (report.state, report.erased) == (RunState.SUCCEEDED, 3), report.error
        assert_pages(lake.rows(), sim)


def test_f60_a_full_run_holds_trashed_and_archived_pages_too(tmp_path: Path) -> None:
    with simulate("confluence", pages=300, spaces=3, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), mode=RunMode.FULL)
        assert lake.run().state is RunState.SUCCEEDED
        assert_pages(lake.rows(), sim)
        assert {row["status"] for row in lake.rows().values()} == {"current", "archived", "trashed"}
        kinds = {row["parent_type"] for row in lake.rows().values()}
        assert {"page", "folder"} <= kinds
