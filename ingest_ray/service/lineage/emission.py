"""Sends the events of a run by the library of OpenLineage. A receiver that is away, or a wrong transport, never fails a run.

The id of a run is derived from ours, so that its START and its end belong together, whichever process sends them.
"""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from ingest_ray import __version__, logs
from ingest_ray.engine.reports import VerifyReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import RunFault, RunState, RunSummary
from ingest_ray.secrets import follow, is_reference
from ingest_ray.settings import Settings

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

log = logging.getLogger(__name__)

PRODUCER = f"https://pypi.org/project/ingest-ray/{__version__}"
EXTRA = "pip install 'ingest-ray[lineage]'"


def emit_start(order: RunOrder) -> None:
    if order.settings.lineage is not None:
        _emit(order, "START", None)


def emit_running(order: RunOrder) -> None:
    """When the run has passed the comparison of its schema, and reads."""
    if order.settings.lineage is not None:
        _emit(order, "RUNNING", None)


def emit_end(order: RunOrder, summary: RunSummary) -> None:
    """COMPLETE, FAIL, or ABORT for a run that was paused."""
    if order.settings.lineage is not None:
        _emit(order, end_kind(summary.state), summary)


def emit_comparison(order: RunOrder, kind: str, report: VerifyReport | None = None) -> None:
    """Of a comparison of a unit with its sink, which is a job of its own. `kind`: START, or one of `end_kind`, then with its report."""
    if order.settings.lineage is not None:
        _send(order, lambda: comparison_event(order, kind, report))


def end_kind(state: RunState) -> str:
    return {RunState.SUCCEEDED: "COMPLETE", RunState.FAILED: "FAIL"}.get(state, "ABORT")


def _emit(order: RunOrder, kind: str, summary: RunSummary | None) -> None:
    _send(order, lambda: event_of(order, kind, summary))


def _send(order: RunOrder, event: Callable[[], Any]) -> None:
    try:
        client_of(order.settings).emit(event())
    except Exception as error:  # of a library, a transport or a receiver: lineage is no part of a run's result
        log.warning("lineage of run %s was not sent: %s", order.run_id, logs.scrub(f"{type(error).__name__}: {error}"))


def event_of(order: RunOrder, kind: str, summary: RunSummary | None) -> Any:
    """The RunEvent. Raises `ConfigError` where the library is not installed."""
    facets = _facets()
    inputs = [facets.input_of(order, summary)]
    outputs = facets.outputs_of(order, summary) if summary is not None else []
    return _event(order, kind, (str(order.ref), "INGESTION"), summary.error if summary else None, inputs, outputs)


def comparison_event(order: RunOrder, kind: str, report: VerifyReport | None) -> Any:
    """The RunEvent of a comparison: both sides are its inputs, and what it found are assertions about the sink."""
    location = writer_for(order, staging_for(order)).location
    inputs = _facets().compared_datasets(order, report, location)
    return _event(order, kind, (f"{order.ref}/verify", "VERIFICATION"), report.error if report else None, inputs, [])


def _facets() -> ModuleType:
    try:
        return import_module("ingest_ray.service.lineage.facets")
    except ModuleNotFoundError:
        raise ConfigError("lineage needs a package that is not installed: openlineage-python", hint=EXTRA) from None


def _event(
    order: RunOrder, kind: str, job: tuple[str, str], error: RunFault | None, inputs: list[Any], outputs: list[Any]
) -> Any:
    """`job`: its name and its kind."""
    from openlineage.client import event_v2, facet_v2

    facet_v2.set_producer(PRODUCER)
    assert order.settings.lineage is not None
    namespace = order.settings.lineage.namespace
    engine = facet_v2.processing_engine_run.ProcessingEngineRunFacet(version=__version__, name="ingest-ray")
    of_run: dict[str, Any] = {"processing_engine": engine}
    if error is not None:
        text = f"{error.code}" + (f": {error.hint}" if error.hint else "")
        of_run["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(
            message=text, programmingLanguage="python"
        )
    of_job = facet_v2.job_type_job.JobTypeJobFacet(processingType="BATCH", integration="INGEST_RAY", jobType=job[1])
    return event_v2.RunEvent(
        eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
        eventType=event_v2.RunState(kind),
        producer=PRODUCER,
        run=event_v2.Run(runId=lineage_run_id(order.run_id), facets=of_run),
        job=event_v2.Job(namespace=namespace, name=job[0], facets={"jobType": of_job}),
        inputs=inputs,
        outputs=outputs,
    )


def lineage_run_id(run_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"ingest-ray:run:{run_id}"))


def client_of(settings: Settings) -> "OpenLineageClient":
    return _client(settings.model_dump_json())


@cache
def _client(document: str) -> "OpenLineageClient":
    """One for each configuration; a transport may hold connections."""
    from openlineage.client import OpenLineageClient

    settings = Settings.model_validate_json(document)
    assert settings.lineage is not None
    return OpenLineageClient(config={"transport": _resolved(settings.lineage.transport, settings)})


def _resolved(value: JsonValue, settings: Settings) -> JsonValue:
    """With the secrets that its texts refer to."""
    if isinstance(value, dict):
        return {name: _resolved(item, settings) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, settings) for item in value]
    if isinstance(value, str) and is_reference(value):
        return follow(value, "lineage.transport", settings)
    return value
