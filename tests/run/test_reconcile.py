"""Deletes at the source: found by a complete key scan only, never beyond the guard, exactly once."""

from pathlib import Path

import pytest

from ingest_ray.run import reconcile_unit
from ingest_ray.sdk.types import RunState
from tests.run.installation import Installation
from tests.run.test_killed import killed_at

pytestmark = pytest.mark.slow


def loaded(tmp_path: Path, **policy: object) -> Installation:
    there = Installation(tmp_path, policy={"cursor": "at", **policy})
    there.run()
    return there


def deleted_ids(there: Installation) -> set[int]:
    return {row["id"] for row in there.lake().to_pylist() if row["_deleted_at"] is not None}


def test_deleted_rows_become_tombstones_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": [3, 1999]}
    report = reconcile_unit(there.order())
    assert report.state is RunState.SUCCEEDED
    assert (report.keys_at_source, report.keys_in_sink, report.missing_at_source, report.erased) == (1998, 2000, 2, 2)
    assert deleted_ids(there) == {3, 1999}
    again = reconcile_unit(there.order())
    assert (again.keys_in_sink, again.missing_at_source, again.erased) == (1998, 0, 0)


def test_deletes_remove_the_rows_where_the_policy_says_so(tmp_path: Path) -> None:
    there = loaded(tmp_path, deletes="delete")
    there.source = {"deleted": [3, 1999]}
    assert reconcile_unit(there.order()).erased == 2
    assert set(there.ids()) == set(range(2000)) - {3, 1999}


def test_c61_an_incomplete_census_deletes_nothing(tmp_path: Path) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": [3], "faults": {"scan_keys": ["unavailable"]}}
    report = reconcile_unit(there.order())
    assert report.state is RunState.FAILED
    assert report.error is not None
    assert report.error.code == "E_SOURCE_PAGE_FAILED"
    assert deleted_ids(there) == set()


def test_c62_denied_is_not_gone(tmp_path: Path) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": [3], "faults": {"scan_keys": ["denied"]}}
    report = reconcile_unit(there.order())
    assert report.error is not None
    assert report.error.code == "E_SOURCE_DENIED"
    assert deleted_ids(there) == set()


def test_c61_a_row_that_the_census_missed_but_the_source_has_is_kept(tmp_path: Path) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": [3], "hidden": [7]}
    report = reconcile_unit(there.order())
    assert (report.missing_at_source, report.erased) == (2, 1)
    assert deleted_ids(there) == {3}


def test_c63_a_mass_delete_needs_consent(tmp_path: Path) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": list(range(201))}
    refused = reconcile_unit(there.order())
    assert refused.error is not None
    assert refused.error.code == "E_DELETES_REFUSED"
    assert deleted_ids(there) == set()
    assert reconcile_unit(there.order(), allow_all=True).erased == 201


def test_c63_an_empty_source_needs_consent(tmp_path: Path) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": list(range(2000))}
    refused = reconcile_unit(there.order())
    assert refused.error is not None
    assert refused.error.code == "E_DELETES_REFUSED"


def test_c64_a_row_that_comes_back_is_no_tombstone_any_more(tmp_path: Path) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": [3]}
    reconcile_unit(there.order())
    there.source = {"now": 2000, "changed": {"3": 1500}}
    there.run()
    assert deleted_ids(there) == set()
    assert there.ids() == there.expected_ids()


@pytest.mark.parametrize("step", ["reconcile:before-erase", "reconcile:after-erase"])
def test_c31_killed_around_the_erasing_commit(tmp_path: Path, step: str) -> None:
    there = loaded(tmp_path)
    there.source = {"deleted": [3]}
    killed_at(there, step, "reconcile")
    reconcile_unit(there.order())
    assert deleted_ids(there) == {3}
    there.source = {"now": 2000, "changed": {"9": 1500}}
    assert there.run().rows.committed == 1
