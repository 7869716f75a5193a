"""What the log of a worker says about what fails: one line for each failed activity, and one for all that wait for the same server."""

import logging
import threading
import time
from dataclasses import dataclass, field

from temporalio.exceptions import ApplicationError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

STORES = ("E_STATE_UNREADABLE", "E_CLUSTER_UNAVAILABLE")
FORGET_S = 150.0  # attempts of one activity are at most a minute apart, and take two at most
CORE = "temporalio.core"


@dataclass
class Outages:
    """Says of each outage once: until nothing has failed for the same reason for a while."""

    _last_s: dict[str, float] = field(default_factory=dict)
    """When an outage was seen last, by its reason."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_new(self, reason: str) -> bool:
        now = time.monotonic()
        with self._lock:
            before, self._last_s[reason] = self._last_s.get(reason), now
        return before is None or now - before > FORGET_S


def shortened(record: logging.LogRecord, outages: Outages) -> bool:
    """Replaces the library's lines and tracebacks, unless they tell of a defect. False: the line is left out."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, ApplicationError) and error.type and error.type != "E_INTERNAL":
        facts = getattr(record, "temporal_activity", {})
        name = f"activity {facts.get('activity_type')} of '{facts.get('workflow_id')}'"
        record.exc_info, record.args = None, ()
        record.msg = f"{name}: {error.message} [{error.type}]"
        if error.type in STORES:
            record.msg += "; this and others are tried again until there is an answer"
            return outages.is_new(error.type)
        return True
    if record.name == CORE and " retried " in record.getMessage():
        record.args = ()
        record.msg = "the Temporal server does not answer: jobs of runs go on, and work is taken again when it does"
        return outages.is_new(CORE)
    return True


def shorten_lines() -> None:
    """For this process, before its first connection to Temporal: also the lines of the library's core go to our log."""
    outages = Outages()
    for name in ("temporalio.activity", CORE):
        logging.getLogger(name).addFilter(lambda record: shortened(record, outages))
    forwarding = LogForwardingConfig(
        logger=logging.getLogger(CORE), append_target_to_name=False, overwrite_log_record_time=False
    )
    levels = TelemetryFilter(core_level="WARN", other_level="ERROR")
    Runtime.set_default(
        Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=levels, forwarding=forwarding))),
        error_if_already_set=False,
    )
