"""Jira and Confluence by ids and versions: what was lost is found and repaired, what was hidden is not taken for deleted."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.engine.reports import VerifyReport
from ingest_ray.run import VerifyOptions, reconcile_unit, verify_unit
from ingest_ray.sdk.types import RunState
from ingest_ray.simulators.atlassian import simulate
from tests.strategies.confluence.site import Lake as WikiLake
from tests.strategies.confluence.site import endpoint_of as wiki_endpoint
from tests.strategies.jira.site import Lake, assert_exact, endpoint_of
from tests.strategies.lake import SiteLake
from tests.verify.table_world import counts

pytestmark = pytest.mark.slow


def verify(lake: SiteLake, **options: Any) -> VerifyReport:
    return verify_unit(lake.order(), VerifyOptions(**options))


def lose(lake: SiteLake, count: int, column: str = "id") -> list[Any]:
    """Deletes rows of the lake by hand."""
    from deltalake import DeltaTable

    table = DeltaTable(str(lake.folder / "lake" / lake.endpoint.endpoint_id / lake.unit))
    found = sorted(table.to_pyarrow_table().column(column).unique().to_pylist())[3 : 3 + count]
    table.delete(f"{column} in ({', '.join(repr(one) for one in found)})")
    return found


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_issues_that_come_back_with_their_old_time_of_change_are_found_and_read(tmp_path: Path, mode: Any) -> None:
    """B13: a security level that is lifted does not change `updated`, so no run reads the issue."""
    with simulate(mode=mode, issues=120, projects=3) as sim:
        sim.mutate("restrict", count=5, seed=1)
        lake = Lake(tmp_path, endpoint_of(sim))
        assert lake.run().state is RunState.SUCCEEDED
        assert counts(verify(lake)) == (0, 0, 0, 0)
        sim.mutate("unrestrict", count=5, seed=1)
        assert lake.run().state is RunState.SUCCEEDED
        assert lake.table().num_rows == 115
        assert counts(verify(lake)) == (5, 0, 0, 0)
        report = reconcile_unit(lake.order())
        assert (report.missing_in_sink, report.repaired, report.erased) == (5, 5, 0)
        assert counts(verify(lake)) == (0, 0, 0, 0)
        assert_exact(lake, sim, own=True)


@pytest.mark.parametrize("unit", ["jira.issues", "jira.comments", "jira.worklogs", "jira.changelogs"])
def test_rows_of_jira_that_the_lake_lost_are_repaired(tmp_path: Path, unit: str) -> None:
    with simulate(issues=100, projects=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), unit=unit)
        assert lake.run().state is RunState.SUCCEEDED
        before = lake.rows().keys()
        for with_values in (False, True):
            assert counts(verify(lake, with_values=with_values)) == (0, 0, 0, 0)
        lost = lose(lake, 4)
        found = verify(lake)
        assert counts(found) == (4, 0, 0, 0)
        assert [key["id"] for key in found.missing_keys] == lost
        assert (verify(lake, repair=True).repaired, lake.rows().keys()) == (4, before)
        assert counts(verify(lake)) == (0, 0, 0, 0)


def test_issues_of_an_older_version_are_different(tmp_path: Path) -> None:
    with simulate(issues=60, projects=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim))
        lake.run()
        from deltalake import DeltaTable

        table = DeltaTable(str(lake.folder / "lake" / "jira" / lake.unit))
        chosen = sorted(lake.rows())[5]
        table.update(predicate=f"id = '{chosen}'", new_values={"updated": "2001-01-01", "summary": "old"})
        found = verify(lake, with_values=True)
        assert (counts(found), found.compared) == ((0, 0, 1, 0), "versions")
        assert verify(lake, with_values=True, repair=True).repaired == 1
        assert counts(verify(lake, with_values=True)) == (0, 0, 0, 0)
        assert_exact(lake, sim, own=True)


def test_deleted_issues_are_surplus_and_hidden_ones_are_not_erased_without_proof(tmp_path: Path) -> None:
    with simulate(issues=80, projects=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim))
        lake.run()
        sim.mutate("delete", count=3, seed=4)
        found = verify(lake)
        assert counts(found) == (0, 3, 0, 0)
        assert verify(lake, repair=True).erased == 3
        assert counts(verify(lake)) == (0, 0, 0, 0)


@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize("unit", ["confluence.page", "confluence.comment", "confluence.label", "confluence.revision"])
def test_rows_of_confluence_that_the_lake_lost_are_repaired(tmp_path: Path, unit: str, mode: Any) -> None:
    with simulate("confluence", mode, pages=60, spaces=2) as sim:
        lake = WikiLake(tmp_path, wiki_endpoint(sim), unit=unit)
        assert lake.run().state is RunState.SUCCEEDED
        before = lake.rows().keys()
        assert counts(verify(lake)) == (0, 0, 0, 0)
        lose(lake, 2, "id" if unit in ("confluence.page", "confluence.comment") else "page_id")
        missing = len(before - lake.rows().keys())
        assert missing >= 2
        assert counts(verify(lake)) == (missing, 0, 0, 0)
        assert (verify(lake, repair=True).repaired, lake.rows().keys()) == (missing, before)
        assert counts(verify(lake)) == (0, 0, 0, 0)


def test_pages_of_an_older_version_are_different_and_purged_ones_are_surplus(tmp_path: Path) -> None:
    with simulate("confluence", pages=60, spaces=2) as sim:
        lake = WikiLake(tmp_path, wiki_endpoint(sim))
        lake.run()
        assert counts(verify(lake, with_values=True)) == (0, 0, 0, 0)
        from deltalake import DeltaTable

        table = DeltaTable(str(lake.folder / "lake" / "wiki" / lake.unit))
        chosen = sorted(number for number, row in lake.rows().items() if row["status"] == "current")[5]
        table.update(predicate=f"id = '{chosen}'", new_values={"version": "0"})
        assert counts(verify(lake, with_values=True)) == (0, 0, 1, 0)
        assert verify(lake, with_values=True, repair=True).repaired == 1
        assert counts(verify(lake, with_values=True)) == (0, 0, 0, 0)
