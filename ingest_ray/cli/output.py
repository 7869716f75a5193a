"""The output of a command: one JSON document or text on stdout, and errors without tracebacks."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ingest_ray import logs
from ingest_ray.cli.pipes import is_broken, open_stream
from ingest_ray.process.exit_notice import ExitNotice
from ingest_ray.sdk.errors import IngestError

if TYPE_CHECKING:
    from pydantic import BaseModel

SUCCESS, FAILURE, MISTAKE = 0, 1, 2  # exit codes


@dataclass
class Output:
    """`stream` gets the result and nothing else. With `--json` it is the real stdout, and other prints go to stderr."""

    is_json: bool
    stream: TextIO

    def write(self, document: "Mapping[str, object] | BaseModel", show: Callable[[TextIO], None]) -> None:
        """Writes `document` with `--json`, else calls `show` with the stream."""
        if self.is_json:
            value = document if isinstance(document, Mapping) else document.model_dump(mode="json")
            print(json.dumps(value, ensure_ascii=False), file=self.stream, flush=True)
        else:
            show(self.stream)

    def write_error(self, code: str, message: str, hint: str | None) -> None:
        notice = self.error_notice(code, message, hint)
        print(notice.text, end="", file=notice.out, flush=True)

    def error_notice(self, code: str, message: str, hint: str | None) -> ExitNotice:
        """The text of an error and the stream that it belongs to, for a process that may not be able to write it itself."""
        message, hint = logs.scrub(message), logs.scrub(hint) if hint else None
        if self.is_json:
            fault = {"code": code, "message": message, "hint": hint}
            return ExitNotice(json.dumps({"error": fault}, ensure_ascii=False) + "\n", self.stream)
        text = f"error: {message} [{code}]\n" + (f"hint: {hint}\n" if hint else "")
        return ExitNotice(logs.escape_controls(text, keep="\n\t"), sys.stderr)

    @property
    def has_no_reader(self) -> bool:
        """The reader of the pipe has closed it: what is written is dropped."""
        return is_broken(self.stream)

    def close(self) -> None:
        """Gives stdout its file descriptor back."""
        if self.is_json:
            sys.stdout.flush()
            os.dup2(self.stream.fileno(), 1)
            self.stream.close()


def open_output(is_json: bool) -> Output:
    return Output(is_json, _separate_stdout() if is_json else sys.stdout)


def _separate_stdout() -> TextIO:
    """The real stdout under another descriptor; everything else that this process or its children print goes to stderr."""
    sys.stdout.flush()
    stream = open_stream(os.dup(1), line_buffering=False, owns=True)
    os.dup2(2, 1)
    return stream


def report_error(output: Output, error: IngestError) -> int:
    """Writes the error, and returns the exit code."""
    print_traceback_when_debugging()
    output.write_error(error.code, error.message or type(error).__name__, error.hint)
    return MISTAKE if error.is_user_mistake else FAILURE


def print_traceback_when_debugging() -> None:
    if os.environ.get("INGEST_DEBUG") == "1":
        print(logs.scrub(traceback.format_exc()), file=sys.stderr)
