"""The table of orders in each database: (id, note, amount, time of change in microseconds)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from threading import Event
from time import sleep
from typing import Any

import pyarrow as pa

from tests.faults.sources.source import Rows

SIZES = (1, 5, 5, 5, 5, 5, 5, 200)  # of transactions, in rows
POLICY = {"cursor": "updated_at", "write": "upsert", "target_slice_bytes": 65536}
WRITES: Mapping[str, dict[str, Any]] = {
    "upsert": {},
    "append": {"policy": POLICY | {"write": "append"}},
    "history": {"policy": POLICY | {"write": "history"}},
    "replace": {"run_mode": "FULL", "policy": {"target_slice_bytes": 65536}},
}
"""What differs in the rule of a unit."""


def orders_rule(unit: str, write: str) -> dict[str, Any]:
    return {"unit": unit, "run_mode": "INCREMENTAL", "policy": POLICY} | WRITES[write]


def orders_in_lake(table: pa.Table, write: str) -> Rows:
    """The rows as the source should have them; what no table of this way of writing may have is among them, too."""
    columns = [table["id"], table["note"], table["amount"], table["updated_at"].cast("int64")]
    rows = [
        (key, note, str(amount), at)
        for key, note, amount, at in zip(*(column.to_pylist() for column in columns), strict=True)
    ]
    if write == "append":
        return _newest_and_repeated(rows)
    if write == "history":
        return _current_and_broken(rows, table)
    return Rows(rows)


def _newest_and_repeated(rows: Sequence[tuple[Any, ...]]) -> Rows:
    """The newest version of each row, and each version that is there twice."""
    newest: dict[Any, tuple[Any, ...]] = {}
    for row in sorted(rows, key=lambda one: one[3]):
        newest[row[0]] = row
    return Rows(newest.values()) + Rows({row: count - 1 for row, count in Counter(rows).items()})


def _current_and_broken(rows: Sequence[tuple[Any, ...]], table: pa.Table) -> Rows:
    """The current versions; and the spans of rows that are not each other's continuation, as rows of their own."""
    spans: dict[Any, list[tuple[Any, ...]]] = {}
    columns = [table[name] for name in ("_valid_from", "_valid_to", "_is_current")]
    for row, *span in zip(rows, *(column.to_pylist() for column in columns), strict=True):
        spans.setdefault(row[0], []).append((*span, row))
    found = Rows()
    for key, versions in spans.items():
        versions.sort(key=lambda one: one[0])
        ends = [version[0] for version in versions[1:]] + [None]
        is_whole = [version[1] for version in versions] == ends
        is_current = [version[2] for version in versions] == [False] * (len(versions) - 1) + [True]
        found[versions[-1][3]] += 1
        if not (is_whole and is_current):
            found[(key, "broken history", str([version[:3] for version in versions]), 0)] += 1
    return found


def write_orders(connection: Any, change: str, random: Random, rows: int, is_ending: Event) -> None:
    """Inserts and updates in transactions of different length. `change` has two placeholders: first and last id.

    A round changes few rows, because a second change of a row hides that the first one was lost.
    """
    cursor = connection.cursor()
    while not is_ending.is_set():
        first = random.randrange(1, rows + 200)
        cursor.execute(change % (first, first + random.randrange(random.choice(SIZES))))
        sleep(random.choice([0.0, 0.01, 0.3]))  # the cursor's value is older than the commit
        connection.commit()
        sleep(0.02)
