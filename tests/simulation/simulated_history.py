"""What the simulated sink would keep as a history: the plans of the product, applied to every commit of an upsert, and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ingest_ray.sinks.history.plan import HistoryRow, plan_history
from tests.simulation.invariants import InvariantChecker

Histories = Mapping[int, Sequence[HistoryRow]]


def keep_history(before: Histories, rows: Sequence[tuple[int, int]], now: int, checker: InvariantChecker) -> Histories:
    """`rows`: keys and versions of one commit; a version is the time of its begin, too. Returns the histories after it."""
    after = dict(before)
    for key in {key for key, _ in rows}:
        stored = [replace(row, id=number) for number, row in enumerate(before.get(key, ()))]
        current = [row.version for row in stored if row.end is None]
        versions = sorted({at for other, at in rows if other == key})
        coming = [HistoryRow(number, at, now, at, is_equal=at in current) for number, at in enumerate(versions)]
        plan = plan_history([[*stored, *coming]], has_versions=True)
        closed = {row.id: row for row in plan.closes}
        kept = [replace(row, end=closed[row.id].end) if row.id in closed else row for row in stored]
        opened = [replace(coming[row.id], is_stored=True, begin=row.begin, end=row.end) for row in plan.opens]
        after[key] = tuple(sorted([*kept, *opened], key=lambda row: row.begin))
        _check(key, after[key], {*versions, *(row.version for row in stored)}, checker)
    return after


def _check(key: int, rows: Sequence[HistoryRow], versions: set[int], checker: InvariantChecker) -> None:
    """Of every version that came there is one row, each ends where the next one begins, and the last one is current."""
    ordered = sorted(versions)
    expected = [(at, at, end) for at, end in zip(ordered, [*ordered[1:], None], strict=True)]
    found = [(row.version, row.begin, row.end) for row in rows]
    if found != expected:
        checker.report_violation(f"the history of key {key} is {found} instead of {expected}")
