"""Expressions that would make gigabytes or take hours are refused when they are written; those that people use are not."""

import resource
import time

import pyarrow as pa
import pytest

from ingest_ray.cdm.expressions import ExpressionMapper
from ingest_ray.sdk.types import CdmSettings

SCHEMA = pa.schema([("id", pa.int64()), ("title", pa.string()), ("n", pa.int64()), ("tags", pa.list_(pa.string()))])
NESTED = "title"
for _ in range(12):
    NESTED = f"replace({NESTED}, 'a', 'aaaaaaaaaa')"

BOMBS = [
    "repeat('x', 1000000000)",
    "repeat(title, 1000000000)",
    "repeat(title, n)",
    "repeat(repeat(repeat('x', 9999), 9999), 9999)",
    "repeat(title, 1000 * 1000 * 1000)",
    "lpad(title, 1000000000, 'y')",
    "rpad(title, n::int, 'y')",
    "concat(lpad('x', 2000000000, 'y'), title)",
    "CASE WHEN n = 1 THEN repeat('x', 1000000000) ELSE title END",
    "array_to_string(range(1000000000), ',')",
    "array_to_string(range(n), ',')",
    "len(generate_series(1, 1000000000))::VARCHAR",
    "list_reduce([title, title, title], lambda x, y: x || x)",
    "list_resize(tags, 1000000000, 'x')[1]",
    "list_transform(range(10000), lambda x: list_sum(range(10000)))[1]::VARCHAR",
    "list_transform(range(9999), lambda x: list_transform(range(99), lambda y: x))[1][1]::VARCHAR",
    "format('{:1000000000}', n)",
    "format('{:{}}', n, n)",
    "format(title, n)",
    "printf('%1000000000d', n)",
    "bar(n, 0, 10, 1000000000)",
    NESTED,
    "regexp_replace(regexp_replace(title, '.', repeat('x', 9999), 'g'), '.', repeat('x', 9999), 'g')",
    "title || '" + "x" * 30_000 + "'",
]


def fault_of(text: str, schema: pa.Schema | None = SCHEMA) -> str | None:
    fields = {"cdm_id": "cdm_id('cdm.work.item', id)", "summary": text}
    settings = CdmSettings.model_validate({"models": {"cdm.work.item": fields}})
    faults = [fault for fault in ExpressionMapper(settings, "test").find_faults(schema) if fault.field == "summary"]
    return faults[0].message if faults else None


@pytest.mark.slow
@pytest.mark.parametrize("schema", [SCHEMA, None], ids=["with columns", "without"])
@pytest.mark.parametrize("text", BOMBS, ids=lambda text: text[:50])
def test_an_expression_that_makes_too_much_is_refused_before_it_is_computed(
    text: str, schema: pa.Schema | None
) -> None:
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fault_of(text, schema)
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "title",
        "upper(trim(title))",
        "lpad(n::VARCHAR, 10, '0')",
        "replace(replace(title, '&', 'and'), 'ä', 'ae')",
        "regexp_replace(title, '[^a-z]+', '-', 'g')",
        "regexp_replace(title, '(a)(b)', '\\2\\1')",
        "format('{}-{:05}', title, n)",
        "printf('%s/%03d', title, n)",
        "array_to_string(list_transform(tags, lambda x: upper(x)), ', ')",
        "array_to_string(list_filter(tags, lambda x: x <> ''), ', ')",
        "CASE WHEN n > 5 THEN 'big' ELSE concat_ws(' ', title, n) END",
        "strftime(make_timestamp(n), '%Y-%m')",
    ],
)
def test_an_expression_that_people_use_is_fine(text: str) -> None:
    assert fault_of(text) is None
