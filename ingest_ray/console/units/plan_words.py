"""A plan in words: what a run would read now, and how."""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from ingest_ray.console.elements import counted, format_bytes, format_count
from ingest_ray.core.positions import display_value
from ingest_ray.engine.reports import CertificateLine, PlanPreview

WRITES = {
    "append": "appends them to what is there",
    "upsert": "upserts them by their key",
    "history": "adds each new version to the history of its key",
    "replace": "replaces what is there when all of them have arrived",
}
FACTS = {
    "bytes_per_row": "a row has about {} bytes",
    "rows_per_slice": "a slice has at most about {} rows",
    "first_key": "the first key is {}",
    "last_key": "the last key is {}",
    "new_rows": "{} new rows",
    "rows_above_horizon": "{} rows are above the horizon, and are read by a later run",
    "null_cursors": "{} rows have no value in the cursor",
    "points": "about {} points of the source's quota",
}
QUIET_WHEN_ZERO = ("rows_above_horizon", "null_cursors")
SHOWN = {"axis", "key", "chosen", "snapshot", "warning", *FACTS}  # the others keep their names


def sentence_of(plan: PlanPreview) -> str:
    """The first thing to know."""
    if plan.slice_count == 0:
        return "There is nothing to read: everything up to the horizon is committed."
    rows = (
        f"about {counted(plan.estimated_rows, 'row')}"
        if plan.estimated_rows is not None
        else "an unknown number of rows"
    )
    size = f" ({format_bytes(plan.estimated_bytes)})" if plan.estimated_bytes else ""
    return f"It reads {rows}{size} in {counted(plan.slice_count, 'slice')}, and {WRITES.get(plan.write, plan.write)}."


def facts_of(plan: PlanPreview) -> Iterator[tuple[str, str]]:
    facts, horizon = plan.facts, plan.horizon
    mode = "everything" if plan.run_mode == "FULL" else "what is new since the last run"
    yield "reads", mode + (f", chosen: {facts['chosen']}" if facts.get("chosen") else "")
    if horizon is not None:
        note = f"; {horizon.note}" if horizon.note else ""
        yield "up to", f"{_text(display_value(horizon.value))} ({horizon.method}){note}"
    for segment in plan.segments if len(plan.segments) == 1 else ():
        yield "committed before", "nothing" if segment.watermark is None else f"up to {_text(segment.watermark)}"
    if facts.get("axis"):
        key = f" {_text(facts['key'])}" if facts.get("key") else ""
        yield "cut by", f"{_text(facts['axis'])}{key}"
    measured = "; ".join(_measured(facts))
    if measured:
        yield "found", measured
    if facts.get("snapshot") is not None:
        yield "one snapshot", _text(facts["snapshot"])
    yield "runs", f"{plan.executor}, with strategy {plan.strategy}"
    if facts.get("warning"):
        yield "warning", _text(facts["warning"])
    for name, value in facts.items():
        if name not in SHOWN:
            yield name.replace("_", " "), _text(value)


def _measured(facts: Mapping[str, JsonValue]) -> Iterator[str]:
    for name, words in FACTS.items():
        value = facts.get(name)
        if value is not None and not (value == 0 and name in QUIET_WHEN_ZERO):
            is_key = name in ("first_key", "last_key")
            number = format_count(value) if isinstance(value, int | float) and not is_key else _text(value)
            yield words.format(number)


def fidelity_of(line: CertificateLine) -> str:
    return line.fidelity.value + (f": {line.note}" if line.note else "")


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(one)}" for name, one in value.items())
    return (
        {True: "yes", False: "no", None: "none"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )
