"""Structured logging: stdlib loggers, a context of ids, and no secret in any line."""

import base64
import html
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO
from urllib.parse import quote, quote_plus

FIELDS = ("run", "endpoint", "unit", "slice", "attempt")
HIDDEN = "***"
SHORT = 3  # characters of a secret that is hidden as a whole word only

_context: ContextVar[dict[str, str] | None] = ContextVar("ingest_ray_log_context", default=None)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "context"}


@contextmanager
def context(**ids: object) -> Iterator[None]:
    """Adds ids (`run`, `endpoint`, `unit`, `slice`, `attempt`) to every line that is logged inside."""
    token = _context.set(
        {**(_context.get() or {}), **{name: str(value) for name, value in ids.items() if value is not None}}
    )
    try:
        yield
    finally:
        _context.reset(token)


class HiddenSecrets:
    """The secrets that must not be shown. To add one, and to look for all of them, takes as long however many there are: a
    server that issues tokens for months knows thousands."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._words: set[str] = set()  # those of up to three characters
        self._lengths: dict[
            str, tuple[int, ...]
        ] = {}  # of the others, by their first four characters; the longest first
        self._lock = threading.Lock()

    def add(self, secret: str) -> None:
        if not secret.strip() or secret in self._known:
            return
        with self._lock:
            for form in _forms(secret):
                self._known.add(form)
                if len(form) <= SHORT:
                    self._words.add(form)
                else:
                    start = form[: SHORT + 1]
                    lengths = {*self._lengths.get(start, ()), len(form)}
                    self._lengths[start] = tuple(sorted(lengths, reverse=True))

    def replace(self, text: str) -> str:
        """Replaces the leftmost secret, of several that begin there the longest, and so on; then those that are words."""
        parts, shown_from = [], 0
        lengths_of = self._lengths.get
        for position in range(len(text) - SHORT):
            lengths = lengths_of(text[position : position + SHORT + 1])
            if lengths is None or position < shown_from:
                continue
            length = next((length for length in lengths if text[position : position + length] in self._known), 0)
            if length:
                parts += [text[shown_from:position], HIDDEN]
                shown_from = position + length
        return self._without_words("".join([*parts, text[shown_from:]]) if parts else text)

    def _without_words(self, text: str) -> str:
        """A secret of one to three characters is replaced only as a whole word, else most lines would be unreadable."""
        words = [word for word in tuple(self._words) if word in text]
        if not words:
            return text
        either = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
        return re.sub(rf"(?<!\w)(?:{either})(?!\w)", HIDDEN, text)


_hidden_secrets = HiddenSecrets()


def hide(secret: str) -> None:
    """Replaces this text by `***` in every later log line, and in `scrub`; also as it is written in Python, JSON, a URL or base64."""
    _hidden_secrets.add(secret)


def _forms(secret: str) -> set[str]:
    if len(secret) <= SHORT:
        return {secret}
    encoded = secret.encode("utf-8", "surrogatepass")
    return {
        secret,
        secret.strip(),
        repr(secret)[1:-1],
        repr(encoded)[2:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(encoded, safe=""),
        quote(encoded),
        quote_plus(encoded),
        html.escape(secret),
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
    }


def scrub(text: str) -> str:
    return _hidden_secrets.replace(text)


class Redaction(logging.Filter):
    """Formats the message, adds the context, and replaces secrets, also in the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = scrub(_message(record))
        record.args = None
        if record.exc_info:
            record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = scrub(record.stack_info)
        record.context = dict(_context.get() or {})
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a wrong number of arguments must not suppress the line
        return f"{record.msg} {record.args}"


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.msg,
            **getattr(record, "context", {}),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                line[name] = json.loads(scrub(json.dumps(value, default=str)))
        if record.exc_text:
            line["exception"] = record.exc_text
        return escape_controls(json.dumps(line, ensure_ascii=False, default=str))


_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_controls(text: str, keep: str = "") -> str:
    """Control characters as `\\x1b`, but for those in `keep`: text of a source must neither begin a new line nor command a terminal."""
    return _CONTROLS.sub(
        lambda match: match[0] if match[0] in keep else match[0].encode("unicode_escape").decode(), text
    )


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        ids = " ".join(f"{name}={value}" for name, value in getattr(record, "context", {}).items())
        line = escape_controls(f"{clock} {record.levelname.lower():7} {record.msg}" + (f"  [{ids}]" if ids else ""))
        return f"{line}\n{record.exc_text}" if record.exc_text else line


def hide_pool_tracebacks(record: logging.LogRecord) -> bool:
    """A pool that cannot close a connection whose server is gone logs the driver's traceback, although its caller gets the error."""
    if not record.name.startswith("sqlalchemy.pool") or not record.exc_info:
        return True
    record.exc_info = None
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def configure(
    form: Literal["json", "text"] = "text", level: str = "warning", stream: TextIO | None = None
) -> logging.Handler:
    """Directs the log lines of this process to `stream` (stderr by default); a second call replaces the first."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(hide_pool_tracebacks)
    handler.addFilter(Redaction())
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "is_ingest_ray", False):
            root.removeHandler(old)
    handler.is_ingest_ray = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    return handler
