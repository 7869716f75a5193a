"""The plan of a history against a naive model: whatever comes in whatever order and groups."""

from dataclasses import dataclass, replace
from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.sinks.history.plan import HistoryRow, plan_history


@dataclass
class Stored:
    version: int
    value: str
    read_at: int
    begin: int
    end: int | None
    deleted: int | None = None


class Table:
    """One key of a history, changed by plans only."""

    def __init__(self, *, has_versions: bool) -> None:
        self.rows: list[Stored] = []
        self.has_versions = has_versions

    def commit(self, coming: list[tuple[int, int, str]], *, is_replay: bool = False) -> int:
        """Versions, times of reading, and values. A version is a time, too."""
        last: dict[int, tuple[int, int, str]] = {}
        for version, read_at, value in coming:
            position = version if self.has_versions else 0
            if position not in last or last[position][1] <= read_at:
                last[position] = (position, read_at, value)
        current = next((row for row in self.rows if row.end is None), None)
        rows = [
            HistoryRow(index, row.version, row.read_at, row.begin, True, row.end, row.deleted)
            for index, row in enumerate(self.rows)
        ]
        new = list(last.values())
        for index, (version, read_at, value) in enumerate(new):
            is_equal = current is not None and (current.version, current.value) == (version, value)
            begin = version if self.has_versions else read_at
            rows.append(HistoryRow(index, version, read_at, begin, is_equal=is_equal))
        plan = plan_history([rows], has_versions=self.has_versions, is_replay=is_replay)
        for one in plan.closes:
            assert self.rows[one.id].begin == one.begin
            self.rows[one.id] = replace(self.rows[one.id], end=one.end, deleted=one.deleted)
        for number, position in plan.replaces:
            version, read_at, value = new[number]
            assert (current, self.rows[position].version) == (current, version)
            self.rows[position] = replace(self.rows[position], read_at=read_at, value=value)
        for one in plan.opens:
            version, read_at, value = new[one.id]
            self.rows.append(Stored(version, value, read_at, one.begin, one.end, one.deleted))
        self.rows.sort(key=lambda row: row.begin)
        return plan.rows

    def delete(self, now: int) -> None:
        self.rows = [row if row.end else replace(row, end=max(now, row.begin), deleted=now) for row in self.rows]

    def check(self) -> None:
        for row, after in zip_longest(self.rows, self.rows[1:]):
            assert row.end is None or row.begin <= row.end
            assert row.deleted is None or row.end is not None
            if after is not None:
                assert row.begin < after.begin
                assert row.end is not None
                assert row.end <= after.begin
        assert sum(row.end is None for row in self.rows) <= 1


GROUPS = st.lists(st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abc")), max_size=5), max_size=8)


@settings(max_examples=300, deadline=None)
@given(GROUPS)
def test_any_order_and_any_groups_of_versions_give_the_history_of_the_versions(
    groups: list[list[tuple[int, str]]],
) -> None:
    table, seen, clock = Table(has_versions=True), set(), 100
    for group in groups:
        clock += 1
        table.commit([(version * 10, clock, str(version)) for version, _ in group])
        seen |= {version for version, _ in group}
        table.check()
    ordered = sorted(seen)
    assert [(row.version, row.value, row.begin, row.end) for row in table.rows] == [
        (version * 10, str(version), version * 10, None if end is None else end * 10)
        for version, end in zip_longest(ordered, ordered[1:])
    ]


@settings(max_examples=300, deadline=None)
@given(GROUPS)
def test_without_versions_the_history_is_that_of_the_changes_in_the_order_of_reading(
    groups: list[list[tuple[int, str]]],
) -> None:
    table, expected, clock = Table(has_versions=False), list[tuple[str, int]](), 0
    for group in groups:
        clock += 10
        found = [(0, clock + number, value) for number, (_, value) in enumerate(group)]
        table.commit(found)
        table.commit(found)  # a replay of the same rows changes nothing
        if found and (not expected or expected[-1][0] != found[-1][2]):
            expected.append((found[-1][2], found[-1][1]))
        table.check()
    assert [(row.value, row.begin) for row in table.rows] == expected


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), GROUPS.filter(bool).map(lambda groups: groups[0]), st.integers(0, 40)),
        st.tuples(st.just("delete"), st.just([]), st.just(0)),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(EVENTS, st.booleans())
def test_deletes_late_rows_and_replays_leave_one_current_row_and_closed_values(
    events: list[tuple[str, list[tuple[int, str]], int]], has_versions: bool
) -> None:
    table, clock, deleted_at = Table(has_versions=has_versions), 50, -1
    for kind, group, lateness in events:
        clock += 10
        before = [row for row in table.rows if row.end is not None]
        had_current = any(row.end is None for row in table.rows)
        if kind == "delete":
            table.delete(clock)
            deleted_at = clock if had_current else deleted_at
            assert all(row.end is not None for row in table.rows)
        else:
            table.commit([(version * 10, clock - lateness, value) for version, value in group])
            if not had_current and before and clock - lateness <= deleted_at:
                assert all(row.end is not None for row in table.rows)  # what was read before the delete is deleted
            count = len(table.rows)
            table.commit([(version * 10, clock - lateness, value) for version, value in group])
            assert len(table.rows) == count
        table.check()
        kept = {(row.begin, row.value) for row in table.rows}
        assert all((row.begin, row.value) in kept for row in before)
        if not has_versions:
            count = len(table.rows)
            table.commit([(0, clock - 45, "late")], is_replay=True)
            assert len(table.rows) == max(count, 1)


def test_counters_that_come_late_begin_between_their_neighbours() -> None:
    first, last = HistoryRow(0, 1, 100, 100, True, end=101), HistoryRow(1, 3, 101, 101, True)
    late = HistoryRow(0, 2, 500, 500)
    assert plan_history([[first, last, late]], has_versions=True).rows == 0  # no time is between the two
    room = replace(last, begin=300)
    plan = plan_history([[replace(first, end=300), room, late]], has_versions=True)
    assert [(one.begin, one.end) for one in plan.opens] == [(299, 300)]
    assert [(one.begin, one.end) for one in plan.closes] == [(100, 299)]
