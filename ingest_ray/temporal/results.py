"""Converts results of use cases to payloads of the control plane: counts, the first names, handles."""

import json

from pydantic import JsonValue

from ingest_ray.engine.reports import VerifyReport
from ingest_ray.files.folder import open_folder
from ingest_ray.payloads.documents import (
    NAMES_SHOWN,
    SEGMENTS_SHOWN,
    CatalogOutcome,
    Checkpoint,
    ComparisonOutcome,
    Statistics,
    UnitOutcome,
)
from ingest_ray.sdk.types import RunSummary
from ingest_ray.secrets.locations import documents_location
from ingest_ray.service.endpoints.collect import CollectResult
from ingest_ray.settings import Settings

LONGEST_TEXT = 200
LONGEST_MESSAGE = 2_000


def outcome_of(settings: Settings, summary: RunSummary, job_id: str | None) -> UnitOutcome:
    """Writes the manifest first, so that its URI can be read when the outcome arrives."""
    return UnitOutcome(
        run_id=summary.run_id,
        endpoint_id=summary.endpoint_id,
        unit_id=summary.unit_id,
        sink_id=summary.sink_id,
        state=summary.state,
        target=summary.target,
        job_id=job_id,
        checkpoint=checkpoint_of(summary),
        statistics=statistics_of(summary),
        manifest_uri=write_document(settings, f"manifest-{summary.run_id}.json", summary.model_dump_json()),
    )


def checkpoint_of(summary: RunSummary) -> Checkpoint:
    shown = sorted(summary.watermarks)[:SEGMENTS_SHOWN]
    return Checkpoint(
        segments=len(summary.watermarks),
        watermarks={truncated(name): scalar_of(summary.watermarks[name]) for name in shown},
        is_truncated=len(summary.watermarks) > len(shown),
    )


def statistics_of(summary: RunSummary) -> Statistics:
    return Statistics(
        **{f"rows_{name}": count for name, count in summary.rows.model_dump().items()},
        **{f"slices_{name}": count for name, count in summary.slices.model_dump().items()},
        bytes_staged=summary.bytes_staged,
        retries=summary.retries,
        seconds=summary.seconds,
    )


def catalog_outcome(done: CollectResult) -> CatalogOutcome:
    differences = done.differences
    return CatalogOutcome(
        endpoint_id=done.endpoint_id,
        collection_id=done.collection_id,
        found=differences.found,
        added=len(differences.added),
        changed=len(differences.changed),
        gone=len(differences.gone),
        configured=len(done.configured),
        warnings=tuple(truncated(text, LONGEST_MESSAGE) for text in done.warnings[:NAMES_SHOWN]),
    )


def comparison_outcome(report: VerifyReport) -> ComparisonOutcome:
    counts = report.model_dump(
        include={"compared", "rows_at_source", "rows_in_sink", "missing", "surplus", "different", "doubled"}
    )
    error = report.error
    return ComparisonOutcome(
        run_id=report.run_id,
        state=report.state,
        code=error.code if error is not None else None,
        message=truncated(error.message, LONGEST_MESSAGE) if error is not None else None,
        **counts,
    )


def write_document(settings: Settings, name: str, text: str) -> str:
    folder = open_folder(documents_location(settings))
    folder.make("")
    folder.put(name, text.encode(), is_durable=True)
    return folder.uri_of(name)


def scalar_of(watermark: JsonValue) -> str | int | float | bool | None:
    if isinstance(watermark, list | dict):
        watermark = json.dumps(watermark, ensure_ascii=False)
    return truncated(watermark) if isinstance(watermark, str) else watermark


def truncated(text: str, length: int = LONGEST_TEXT) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
