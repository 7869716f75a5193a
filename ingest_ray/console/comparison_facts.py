"""The result of a comparison in words, from the facts of its run."""

from ingest_ray.console.elements import counted, facts, format_seconds, format_time, heading
from ingest_ray.sdk.types import RunSummary

FOUND = {
    "missing": "only at the source",
    "surplus": "only in the sink",
    "different": "with other values",
    "doubled": "more than once in the sink",
    "newer": "changed since the last run, which is no difference",
}
REPAIRED = {"repaired": "committed again", "erased": "erased", "remaining": "still different"}


def show_comparison(summary: RunSummary) -> None:
    heading("What it found")
    rows = f"{_count(summary, 'rows_in_sink')} in the sink, {_count(summary, 'rows_at_source')} at the source"
    found = [
        ("compared", str(summary.facts.get("compared"))),
        ("rows", rows),
        ("differences", _listed(summary, FOUND) or "none"),
    ]
    repair = _listed(summary, REPAIRED)
    facts(
        [
            *(found if summary.facts else [("compared", "nothing")]),
            *([("repair", repair)] if repair else []),
            ("began (UTC)", format_time(summary.started_at)),
            ("ended (UTC)", format_time(summary.finished_at)),
            ("time", format_seconds(summary.seconds)),
            ("by", summary.requested_by or "-"),
        ]
    )


def _count(summary: RunSummary, name: str) -> str:
    value = summary.facts.get(name)
    return counted(value, "row") if isinstance(value, int) else "an unknown number of rows"


def _listed(summary: RunSummary, words: dict[str, str]) -> str:
    return ", ".join(f"{_count(summary, name)} {text}" for name, text in words.items() if summary.facts.get(name))
