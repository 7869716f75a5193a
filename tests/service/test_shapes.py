"""Every policy against every change, without a source."""

import pytest

from ingest_ray.sdk.types import Column, Dataset, Policy
from ingest_ray.service.units.schema_changes import (
    changes,
    followed_dataset,
    refused_changes,
    relevant_changes,
    source_dataset,
)

POLICIES = ("evolve", "freeze", "discard_column", "quarantine_row")


def dataset(**columns: str) -> Dataset:
    """`int64?` may be NULL."""
    return Dataset(
        endpoint_id="shop",
        name="orders",
        columns=tuple(
            Column(name=name, source_type=kind.rstrip("?"), arrow=kind.rstrip("?"), nullable=kind.endswith("?"))
            for name, kind in columns.items()
        ),
        primary_key=("id",),
    )


BEFORE = dataset(id="int64", total="decimal128(10, 2)?", count="int32?")
# What changed, in words, and what each policy makes of the column afterwards; "!" refuses, "-" leaves it out.
CASES = [
    ({"note": "string?"}, "+ note string", "note", ("string?", "!", "-", "-")),
    ({"count": None}, "- count", "count", ("-", "!", "!", "!")),
    ({"count": "int64?"}, "~ count: int32 -> int64", "count", ("int64?", "!", "int64?", "int32?")),
    ({"count": "int16?"}, "~ count: int32 -> int16", "count", ("int32?", "!", "int32?", "int32?")),
    ({"count": "string?"}, "~ count: int32 -> string", "count", ("!", "!", "!", "int32?")),
    ({"id": "int64?"}, "~ id: int64 not null -> int64", "id", ("int64?", "!", "int64?", "int64")),
    ({"count": "int32"}, "~ count: int32 -> int32 not null", "count", ("int32?", "!", "int32?", "int32?")),
    (
        {"total": "decimal128(12, 2)?"},
        "~ total: decimal128(10, 2) -> decimal128(12, 2)",
        "total",
        ("decimal128(12, 2)?", "!", "decimal128(12, 2)?", "decimal128(10, 2)?"),
    ),
    (
        {"total": "decimal128(10, 4)?"},  # fewer digits before the point: neither holds the other
        "~ total: decimal128(10, 2) -> decimal128(10, 4)",
        "total",
        ("!", "!", "!", "decimal128(10, 2)?"),
    ),
]


@pytest.mark.parametrize(("change", "text", "column", "outcomes"), CASES, ids=[case[1] for case in CASES])
def test_c69_each_policy_has_its_answer_to_each_change(
    change: dict[str, str | None], text: str, column: str, outcomes: tuple[str, ...]
) -> None:
    kinds = {c.name: f"{c.arrow}{'?' if c.nullable else ''}" for c in BEFORE.columns} | change
    now = dataset(**{name: kind for name, kind in kinds.items() if kind is not None})
    found = list(changes(BEFORE, now))
    assert [one.text for one in found] == [text]
    for name, outcome in zip(POLICIES, outcomes, strict=True):
        policy = Policy(on_schema_change=name)
        bad = refused_changes(found, policy, is_made_new=False)
        assert ("!" if bad else _spelled(followed_dataset(BEFORE, now, policy), column)) == outcome, name


def _spelled(found: Dataset, name: str) -> str:
    column = found.column(name)
    return "-" if column is None else f"{column.arrow}{'?' if column.nullable else ''}"


def test_a_rename_is_a_drop_and_an_addition() -> None:
    now = dataset(id="int64", total="decimal128(10, 2)?", pieces="int32?")
    assert [change.text for change in changes(BEFORE, now)] == ["+ pieces int32", "- count"]


def test_another_order_of_columns_is_no_change() -> None:
    now = dataset(count="int32?", total="decimal128(10, 2)?", id="int64")
    assert list(changes(BEFORE, now)) == []


def test_a_replacement_follows_any_type_because_its_table_is_made_new() -> None:
    now = dataset(id="int64", total="string?", count="int32?")
    assert refused_changes(list(changes(BEFORE, now)), Policy(), is_made_new=True) == []
    assert _spelled(followed_dataset(BEFORE, now, Policy()), "total") == "string?"


@pytest.mark.parametrize("name", POLICIES)
def test_columns_that_a_unit_does_not_read_do_not_matter_and_one_that_it_names_is_needed(name: str) -> None:
    policy = Policy(on_schema_change=name, columns=("id", "count"))
    other = dataset(id="int64", total="string?", count="int32?", note="string?")
    assert relevant_changes(list(changes(BEFORE, other)), policy) == []
    lost = relevant_changes(list(changes(BEFORE, dataset(id="int64"))), policy)
    assert [change.text for change in refused_changes(lost, policy, is_made_new=False)] == ["- count"]


def test_rows_are_fitted_only_where_the_source_may_give_what_is_not_staged() -> None:
    wide = dataset(id="int64", count="int64?")
    assert source_dataset(dataset(id="int64", count="int64?", more="string"), wide) is None
    assert source_dataset(dataset(id="int64", count="int64"), wide) is None
    narrow = source_dataset(dataset(more="string", id="int64", count="int32?"), wide)
    assert narrow is not None
    assert [(column.name, column.arrow) for column in narrow.columns] == [("id", "int64"), ("count", "int32")]
    assert source_dataset(dataset(id="int64?", count="int64?"), wide) is not None
