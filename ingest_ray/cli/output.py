"""What every command shares: where the configuration is, one JSON document or text, errors without tracebacks."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ingest_ray import logs
from ingest_ray.process.exit_notice import Words
from ingest_ray.sdk.errors import IngestError

FINE, FAILED, MISTAKE = 0, 1, 2


@dataclass
class Frame:
    """`out` gets the result and nothing else. With `--json` it is the real stdout, and what others print goes to stderr."""

    is_json: bool
    out: TextIO
    config: Path | None = None

    def give(self, document: Any, show: Callable[[TextIO], None]) -> None:
        """`document`: a mapping, or a pydantic model."""
        if self.is_json:
            value = document if isinstance(document, dict) else document.model_dump(mode="json")
            print(json.dumps(value, ensure_ascii=False), file=self.out, flush=True)
        else:
            show(self.out)

    def close(self) -> None:
        """Gives stdout its number back."""
        if self.is_json:
            sys.stdout.flush()
            os.dup2(self.out.fileno(), 1)
            with suppress(BrokenPipeError):  # the reader of the pipe has seen enough
                self.out.close()

    def refuse(self, code: str, message: str, hint: str | None) -> None:
        words = self.refusal(code, message, hint)
        print(words.text, end="", file=words.out, flush=True)

    def refusal(self, code: str, message: str, hint: str | None) -> Words:
        message, hint = logs.scrub(message), logs.scrub(hint) if hint else None
        if self.is_json:
            fault = {"code": code, "message": message, "hint": hint}
            return Words(json.dumps({"error": fault}, ensure_ascii=False) + "\n", self.out)
        said = f"error: {message} [{code}]\n"
        return Words(f"{said}hint: {hint}\n" if hint else said, sys.stderr)


_frame: ContextVar[Frame] = ContextVar("ingest_ray_frame")


def open_frame(is_json: bool) -> Frame:
    frame = Frame(is_json, _stdout_alone() if is_json else sys.stdout)
    _frame.set(frame)
    return frame


def frame() -> Frame:
    return _frame.get()


def _stdout_alone() -> TextIO:
    """The real stdout under another number; whatever else this process or its children print goes to stderr."""
    sys.stdout.flush()
    alone = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return alone


def refuse_error(frame: Frame, error: IngestError) -> int:
    debug()
    frame.refuse(error.code, error.message or type(error).__name__, error.hint)
    return MISTAKE if error.is_user_mistake else FAILED


def debug() -> None:
    if os.environ.get("INGEST_DEBUG") == "1":
        print(logs.scrub(traceback.format_exc()), file=sys.stderr)
