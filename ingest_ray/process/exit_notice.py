"""Prints an error on behalf of a process that Ray ends from outside.

While a process connects to Ray or disconnects, Ray's own code ends it when a server of Ray dies: no exception, and no exit handler
runs. For that time a small witness process waits beside it with the notice, and prints it unless it is dismissed first.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TextIO

DISMISSED = b"\0"
_WITNESS = f"""
import sys
notice = sys.stdin.buffer.read()
if not notice.endswith({DISMISSED!r}):
    sys.stdout.buffer.write(notice)
"""


@dataclass(frozen=True)
class ExitNotice:
    """`out`: the stream that the process itself would have written to."""

    text: str
    out: TextIO


_current: ContextVar[ExitNotice | None] = ContextVar("exit_notice", default=None)


@contextmanager
def announce(notice: ExitNotice) -> Iterator[None]:
    """Makes `guard_exit` print this notice, within the block."""
    token = _current.set(notice)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def guard_exit() -> Iterator[None]:
    """Prints the announced notice if this process is ended within the block. Without one, does nothing.

    A block that ends by itself, with an error or without, dismisses the notice: its caller reports the error.
    """
    notice = _current.get()
    if notice is None:
        yield
        return
    with _start_witness(notice) as witness:
        try:
            yield
        finally:
            assert witness.stdin is not None
            with suppress(OSError):  # the witness has ended already
                witness.stdin.write(DISMISSED)
                witness.stdin.flush()


def _start_witness(notice: ExitNotice) -> "subprocess.Popen[bytes]":
    """In a session of its own, so that Ctrl-C does not reach it."""
    command = [sys.executable, "-I", "-S", "-c", _WITNESS]
    witness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=notice.out, start_new_session=True)
    assert witness.stdin is not None
    with suppress(OSError):
        witness.stdin.write(notice.text.encode())
        witness.stdin.flush()
    return witness
