"""Every error this project raises, arranged by what the caller should do next.

* IngestError
  x ConfigError               fail: a person must change something first
    + DuplicateEndpoint       fail: another endpoint has that source id
    + EndpointInUse           fail: stop the run or remove the unit's config first
    + EndpointNotFound        fail: register the endpoint first
    + ConnectionTestFailed    fail: the endpoint cannot be reached or logged into
    + TargetChanged           fail: the unit was loaded into another table; set its name back, or reset it
    + PayloadTooLarge         fail: a control message must carry handles, never rows
    + VersionConflict         fail: it was changed meanwhile; read it and change it again
  x AccessError
    + Unauthenticated         fail: log in
    + RoleForbidden           fail: the caller's role does not allow it
    + RateLimited             try again, after `retry_after_s`
  x GateError                 fail: the catalog, the unit or the mode does not allow it
    + UnitNotFound            fail: the endpoint has no such unit
    + DatasetUnknown          fail: collect metadata first
    + UnitDisabled            fail: enable the unit first
    + SinkMissing             fail: register the sink first
    + StrategyMissing         fail: install the strategy for the template
    + ModeUnsupported         fail: choose a mode that the unit supports
    + FilterUnsupported       fail: the filter belongs to another kind of unit
    + FilterConflict          fail: choose one kind of filter
    + CdmModeUnsupported      fail: the unit has no CDM model
    + CdmModeUnavailable      fail: the unit's mapper is not registered
    + CdmSinkUnsupported      fail: the sink does not take the unit's CDM model
    + CdmSinkRequired         fail: name the sink endpoint that keeps the models
    + CdmSinkRefused          fail: the sink endpoint is no CDM sink, or not provisioned for the model
    + RunActive               fail: the unit and sink has a live run
  x SourceError
    + SourceDenied            fail: the credentials or the grant are wrong
    + SourceChanged           fail: collect metadata again
    + SourceUnavailable       retry the slice, after `retry_after_s` when given
      + SourceLocked          the same, and wait longer: another session has locked what is read
    + SnapshotLost            plan again under a new snapshot: no slice of this one can be read any more
    + SliceTooLarge           plan the rest again
    + LogGone                 fail: the log does not have the changes since the checkpoint any more; load again by consent
    + LogRetained             fail: more of the log is retained for the unit than the policy allows
  x RecordError               quarantine one record
    + QuarantineLimit         fail: more rows in quarantine than the policy allows
  x StagingError
    + StagingUnavailable      retry the slice: staging cannot be written now
    + StagingDenied           fail: the place, its keys or its rights are wrong
    + StagingTooLarge         fail: choose files for staging
    + StagingLost             read the slice again: its pages, or the rows prepared from them, are gone or damaged
  x SinkError
    + SinkUnavailable         try the write again
    + SinkRejected            fail: the sink will never take this
    + RowsRejected            quarantine rows: the sink will never take some of them, and takes the others
    + DeletesRefused          fail: more rows would be deleted than the policy allows without consent
    + RowsDiffer              fail: a comparison found rows that differ between source and sink
  x CommitError
    + Fenced                  stop quietly: a newer run owns the unit
    + CommitUnknown           ask the sink for its last sequence number before deciding
    + LedgerMismatch          fail: rows do not add up; nothing was committed
    + StateBehindSink         fail: the state lost commits that the sink has, and reading them again would double rows
    + SinkBehindState         fail: the sink lost commits that the state has
    + HistoryTooShort         fail: the state does not keep what it was at the sink's last commit
  x StateError
    + StateConflict           read the state again: another process wrote it
    + StateUnreadable         fail: the document has an unknown schema number
    + StateUnavailable        try again: the state store does not answer
  x SecretUnavailable         try again, after `retry_after_s` when given: the store of secrets does not answer
  x ControlError
    + ClusterUnavailable      try again: the cluster or the workflow server does not answer
    + RunInterrupted          try again: the process of the run is gone; its commits are kept

No class needs a constructor argument, because errors cross process borders. The codes are those of the published
contract and never change.
"""

from enum import StrEnum
from typing import ClassVar


class Recovery(StrEnum):
    """The reaction of the ledger to an error; only the ledger reads it."""

    FAIL = "fail"
    RETRY = "retry"
    RECUT = "recut"
    REPLAN = "replan"
    QUARANTINE = "quarantine"
    REREAD = "reread"
    ASK_SINK = "ask-sink"
    FENCED = "fenced"


class IngestError(Exception):
    """The root. `hint` is what a person can do next; it is shown under the message."""

    code: ClassVar[str] = "E_BAD_INPUT"
    recovery: ClassVar[Recovery] = Recovery.FAIL
    is_user_mistake: ClassVar[bool] = False

    def __init__(self, message: str = "", *, hint: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (type(self), dict(self.__dict__)))


def _restore(kind: type[IngestError], state: dict[str, object]) -> IngestError:
    error = kind()
    error.__dict__.update(state)
    error.args = (str(state.get("message", "")),)
    return error


class ConfigError(IngestError):
    is_user_mistake = True


class DuplicateEndpoint(ConfigError):
    code = "E_DUPLICATE_SOURCE_ID"


class EndpointInUse(ConfigError):
    code = "E_ENDPOINT_IN_USE"


class EndpointNotFound(ConfigError):
    code = "E_ENDPOINT_NOT_FOUND"


class ConnectionTestFailed(ConfigError):
    code = "E_CONN_TEST_FAILED"


class TargetChanged(ConfigError):
    code = "E_TARGET_CHANGED"


class PayloadTooLarge(ConfigError):
    code = "E_PAYLOAD_TOO_LARGE"


class VersionConflict(ConfigError):
    code = "E_VERSION_CONFLICT"


class AccessError(IngestError):
    code = "E_UNAUTHENTICATED"
    is_user_mistake = True


class Unauthenticated(AccessError):
    pass


class RoleForbidden(AccessError):
    code = "E_ROLE_FORBIDDEN"


class RateLimited(AccessError):
    code = "E_RATE_LIMITED"


class GateError(IngestError):
    is_user_mistake = True


class UnitNotFound(GateError):
    code = "E_INGESTION_UNIT_NOT_FOUND"


class DatasetUnknown(GateError):
    code = "E_INGESTION_DATASET_UNKNOWN"


class UnitDisabled(GateError):
    code = "E_INGESTION_DATASET_DISABLED"


class SinkMissing(GateError):
    code = "E_INGESTION_SINK_MISSING"


class StrategyMissing(GateError):
    code = "E_INGESTION_DRIVER_MISSING"


class ModeUnsupported(GateError):
    code = "E_INGESTION_MODE_UNSUPPORTED"


class FilterUnsupported(GateError):
    code = "E_INGESTION_FILTER_UNSUPPORTED"


class FilterConflict(GateError):
    code = "E_INGESTION_FILTER_CONFLICT"


class CdmModeUnsupported(GateError):
    code = "E_CDM_MODE_UNSUPPORTED"


class CdmModeUnavailable(GateError):
    code = "E_CDM_MODE_UNAVAILABLE"


class CdmSinkUnsupported(GateError):
    code = "E_CDM_SINK_UNSUPPORTED"


class CdmSinkRequired(GateError):
    code = "E_CDM_SINK_ENDPOINT_REQUIRED"


class CdmSinkRefused(GateError):
    code = "E_CDM_SINK_ENDPOINT_UNSUPPORTED"


class RunActive(GateError):
    code = "E_RUN_ACTIVE"


class SourceError(IngestError):
    code = "E_SOURCE_PAGE_FAILED"


class SourceDenied(SourceError):
    code = "E_SOURCE_DENIED"


class SourceChanged(SourceError):
    code = "E_SOURCE_CHANGED"


class SourceUnavailable(SourceError):
    recovery = Recovery.RETRY


class SourceLocked(SourceUnavailable):
    pass


class SnapshotLost(SourceError):
    recovery = Recovery.REPLAN


class LogGone(SourceError):
    """The source's log does not reach back to the checkpoint: changes in between cannot be read any more."""

    code = "E_LOG_GONE"


class LogRetained(SourceError):
    """The source retains more of its log for the unit than `policy.max_retained_mb`."""

    code = "E_LOG_RETAINED"


class SliceTooLarge(SourceError):
    """What was yielded up to `position` counts; where it is None, nothing that was yielded counts.

    `bytes_per_row` is the reader's measurement, with which the planner cuts again.
    """

    recovery = Recovery.RECUT

    def __init__(
        self,
        message: str = "",
        *,
        position: tuple[int | str, ...] | None = None,
        bytes_per_row: float | None = None,
    ) -> None:
        super().__init__(message)
        self.position = position
        self.bytes_per_row = bytes_per_row


class RecordError(IngestError):
    """`column` is the wrong column of the record, where it is known."""

    recovery = Recovery.QUARANTINE

    def __init__(self, message: str = "", *, hint: str | None = None, column: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.column = column


class QuarantineLimit(RecordError):
    code = "E_QUARANTINE_LIMIT"
    recovery = Recovery.FAIL


class StagingError(IngestError):
    code = "E_STAGING_UNAVAILABLE"


class StagingUnavailable(StagingError):
    recovery = Recovery.RETRY


class StagingDenied(StagingError):
    """A person must change something first: the bucket, the keys, the rights."""


class StagingTooLarge(StagingError):
    code = "E_STAGE_TOO_LARGE"


class StagingLost(StagingError):
    code = "E_STAGE_LOST"
    recovery = Recovery.REREAD


class SinkError(IngestError):
    code = "E_SINK_WRITE_FAILED"


class SinkUnavailable(SinkError):
    recovery = Recovery.RETRY


class SinkRejected(SinkError):
    pass


class RowsRejected(SinkRejected):
    """While a slice is prepared: values of some rows are refused. The unit's writer finds those rows."""


class DeletesRefused(SinkError):
    code = "E_DELETES_REFUSED"


class RowsDiffer(SinkError):
    code = "E_ROWS_DIFFER"


class CommitError(IngestError):
    code = "E_SINK_WRITE_FAILED"


class Fenced(CommitError):
    """`newer_epoch` is the epoch that the sink or the state has, where it is known."""

    code = "E_RUN_FENCED"
    recovery = Recovery.FENCED

    def __init__(self, message: str = "", *, newer_epoch: int | None = None) -> None:
        super().__init__(message)
        self.newer_epoch = newer_epoch


class CommitUnknown(CommitError):
    recovery = Recovery.ASK_SINK


class LedgerMismatch(CommitError):
    code = "E_LEDGER_MISMATCH"


class StateBehindSink(CommitError):
    code = "E_STATE_BEHIND_SINK"


class SinkBehindState(CommitError):
    code = "E_SINK_BEHIND_STATE"


class HistoryTooShort(CommitError):
    code = "E_HISTORY_TOO_SHORT"


class StateError(IngestError):
    code = "E_STATE_UNREADABLE"


class StateConflict(StateError):
    code = "E_RUN_FENCED"
    recovery = Recovery.FENCED


class StateUnreadable(StateError):
    pass


class StateUnavailable(StateError):
    code = "E_STATE_UNREADABLE"
    recovery = Recovery.RETRY


class SecretUnavailable(IngestError):
    code = "E_SECRET_UNAVAILABLE"
    recovery = Recovery.RETRY


class ControlError(IngestError):
    """A fault of the cluster or the server that executes runs, not of the run itself."""

    code = "E_RUN_INTERRUPTED"


class ClusterUnavailable(ControlError):
    code = "E_CLUSTER_UNAVAILABLE"
    recovery = Recovery.RETRY


class RunInterrupted(ControlError):
    recovery = Recovery.RETRY
