"""Converts the exception of a step into an event for the ledger: the one place where exceptions become data."""

import logging
from collections.abc import Callable

from ingest_ray.core.messages import Event, Failed, Fault, Stage, short
from ingest_ray.engine.steps.step_spans import note_outcome, step_span
from ingest_ray.sdk.errors import IngestError, Recovery
from ingest_ray.sdk.missing_packages import missing_package
from ingest_ray.sdk.types import Slice

log = logging.getLogger(__name__)

_CODES = {
    Stage.PLAN: "E_SOURCE_PAGE_FAILED",
    Stage.READ: "E_SOURCE_PAGE_FAILED",
    Stage.MAP: "E_BAD_INPUT",
    Stage.OPEN: "E_SINK_WRITE_FAILED",
    Stage.PREPARE: "E_SINK_WRITE_FAILED",
    Stage.COMMIT: "E_SINK_WRITE_FAILED",
    Stage.INTEND: "E_STATE_UNREADABLE",
    Stage.FOLD: "E_STATE_UNREADABLE",
}


def attempted(stage: Stage, work: Callable[[], Event], piece: Slice | None = None, attempt: int = 0) -> Event:
    """Runs `work` and returns its event, or a `Failed` event. An unexpected exception is a defect and is logged with its trace."""
    with step_span(stage, piece, attempt) as span:
        try:
            event = work()
        except Exception as error:
            event = Failed(stage, fault_of(stage, error), piece, attempt)
        note_outcome(span, event)
    return event


def fault_of(stage: Stage, error: Exception) -> Fault:
    if isinstance(error, IngestError):
        return Fault.of(error)
    if isinstance(error, ModuleNotFoundError) and (missing := missing_package(error, f"stage {stage}")) is not None:
        return Fault.of(missing)
    log.error("unexpected %s at stage %s", type(error).__name__, stage, exc_info=error)
    # After an unexpected error in a commit, only the sink knows whether the commit happened.
    recovery = Recovery.ASK_SINK if stage is Stage.COMMIT else Recovery.FAIL
    return Fault(
        code=_CODES[stage],
        message=short(f"unexpected {type(error).__name__} at stage {stage}: {error}"),
        recovery=recovery,
        hint="this is a defect; the log has the trace",
    )
