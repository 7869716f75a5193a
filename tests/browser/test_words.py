"""Words of the console that need no browser: plans, spans, the help of policies."""

from datetime import UTC, datetime

from ingest_ray.console.elements import counted, format_seconds, format_span
from ingest_ray.console.units.plan_words import facts_of, sentence_of
from ingest_ray.console.units.policy_form import Policy, _kind_of, _parsed_as, _span_text
from ingest_ray.console.units.policy_help import GROUPS, HELP
from ingest_ray.engine.reports import PlanPreview

FACTS = {
    "axis": "key",
    "key": ["id"],
    "bytes_per_row": 60.7,
    "rows_per_slice": 552791,
    "first_key": 0,
    "last_key": 1999,
    "null_cursors": 0,
}


def plan(**values: object) -> PlanPreview:
    known = {
        "endpoint_id": "a",
        "unit_id": "b",
        "sink_id": "c",
        "strategy": "jdbc.sqlite",
        "run_mode": "INCREMENTAL",
        "write": "upsert",
    }
    return PlanPreview.model_validate({**known, "planned_at": datetime.now(UTC), **values})


def test_a_plan_is_said_in_words() -> None:
    one = plan(slice_count=1, estimated_rows=1, estimated_bytes=2048, facts=FACTS)
    assert sentence_of(one) == "It reads about 1 row (2.0 KiB) in 1 slice, and upserts them by their key."
    assert "2 slices" in sentence_of(plan(slice_count=2, estimated_rows=2000))
    assert sentence_of(plan()).startswith("There is nothing to read")
    facts = dict(facts_of(one))
    assert facts["cut by"] == "key id"
    assert (
        facts["found"]
        == "a row has about 61 bytes; a slice has at most about 552,791 rows; the first key is 0; the last key is 1999"
    )
    assert not any("_" in text for text in (*facts, *facts.values()))


def test_every_field_of_a_policy_has_help_and_a_place() -> None:
    placed = {name for names in GROUPS.values() for name in names}
    assert [name for name in Policy.model_fields if name not in HELP or name not in placed] == []


def test_every_span_of_a_policy_is_written_with_its_unit() -> None:
    spans = {
        name
        for name, field in Policy.model_fields.items()
        if _parsed_as(_kind_of(field.annotation)[0], field)("90") == 90
        and _parsed_as(_kind_of(field.annotation)[0], field) is not int
        and _parsed_as(_kind_of(field.annotation)[0], field) is not float
    }
    assert {"lookback", "lag", "keep_staging", "verify_every", "fresh_within"} <= spans
    assert [_span_text(seconds) for seconds in (0, 30, 600, 129_600, 172_800)] == ["0", "30s", "10m", "36h", "2d"]


def test_numbers_and_times_are_written_for_people() -> None:
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [format_seconds(s) for s in (0.84, 42.2, 303, 3723)] == ["0.8 s", "42 s", "5:03", "1:02:03"]
    assert [format_span(s) for s in (None, 42, 300, 7200, 200_000)] == ["-", "42 s", "5 min", "2 h", "2 d"]
