"""The published JSON document of `run --json`, `quarantine replay --json` and `remap --json`."""

from pydantic import JsonValue

from ingest_ray.sdk.types import RunSummary
from ingest_ray.service.runs.execution import RunReport

_FIELDS_OF_ONE_UNIT = (
    "target",
    "task",
    "strategy",
    "executor",
    "horizon",
    "phases",
    "retries",
    "schema_changes",
    "reconcile",
    "verify",
)


def run_document(report: RunReport) -> dict[str, JsonValue]:
    """Of one unit the fields are that unit's; of several they are totals, and `watermarks` are by unit id."""
    units = [_unit_document(summary, report) for summary in report.units]
    errors = [unit["error"] for unit in units if unit["error"]]
    errors += [found.error.model_dump(mode="json") for found in report.reconciled if found.error]
    errors += [found.error.model_dump(mode="json") for found in report.verified if found.error]
    single = units[0] if len(units) == 1 else None
    document: dict[str, JsonValue] = {
        "run_id": report.run_id,
        "state": report.state.value,
        "rows": report.rows.model_dump(),
        "slices": report.slices.model_dump(),
        "watermarks": single["watermarks"] if single else {str(unit["unit_id"]): unit["watermarks"] for unit in units},
        "target": None,
        "seconds": report.seconds,
        "error": errors[0] if errors else None,
        "units": [*units],
    }
    return document | {name: single[name] for name in _FIELDS_OF_ONE_UNIT} if single else document


def _unit_document(summary: RunSummary, report: RunReport) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = summary.model_dump(mode="json")
    reconciled = next((one for one in report.reconciled if one.unit_id == summary.unit_id), None)
    verified = next((one for one in report.verified if one.unit_id == summary.unit_id), None)
    return document | {
        "reconcile": reconciled.model_dump(mode="json") if reconciled is not None else None,
        "verify": verified.model_dump(mode="json") if verified is not None else None,
    }
