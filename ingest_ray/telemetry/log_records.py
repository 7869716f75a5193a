"""Sends log lines with the ids of their run and the trace that they belong to: the lines of `ingest-ray logs`, with the same words."""

import logging

from opentelemetry import context
from opentelemetry._logs import Logger, SeverityNumber

from ingest_ray import logs
from ingest_ray.sdk import tracing

_NAMES = {"run": tracing.RUN, "endpoint": tracing.ENDPOINT, "unit": tracing.UNIT, "slice": "ingest.slice.id"}
_OWN = ("opentelemetry", "urllib3", "requests")  # lines about sending would make more of them
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
    (logging.NOTSET, SeverityNumber.DEBUG, "DEBUG"),
)
"""https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber"""


class LogRecords(logging.Handler):
    """Its filter scrubs the record before `emit` sees it."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger
        self.addFilter(logs.Redaction())

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in _OWN:
            return
        _, severity, text = next(found for found in _SEVERITIES if record.levelno >= found[0])
        ids = {
            **getattr(record, "context", {}),
            **{name: vars(record)[name] for name in _NAMES if name in vars(record)},
        }
        attributes = {_NAMES.get(name, f"ingest.{name}"): str(value) for name, value in ids.items()}
        if record.exc_text:
            attributes["exception.stacktrace"] = record.exc_text
        self._logger.emit(
            timestamp=int(record.created * 1e9),
            context=context.get_current(),
            severity_number=severity,
            severity_text=text,
            body=logs.escape_controls(str(record.msg)),
            attributes={"ingest.logger": record.name, **attributes},
        )
