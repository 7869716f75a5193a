"""What is said for a process that is ended at a moment when it cannot answer itself.

While a process connects to Ray or leaves it, Ray's own code ends it when a server of Ray dies: no exception, and no exit handler
runs. So for that long a small process waits beside it with the words, and says them where it is left without a sign that all is well.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TextIO

FINE = b"\0"
_WAIT = f"""
import sys
heard = sys.stdin.buffer.read()
if not heard.endswith({FINE!r}):
    sys.stdout.buffer.write(heard)
"""


@dataclass(frozen=True)
class Words:
    """`out`: where the process itself would have said them."""

    text: str
    out: TextIO


_words: ContextVar[Words | None] = ContextVar("exit_notice", default=None)


@contextmanager
def left(words: Words) -> Iterator[None]:
    """In here, somebody wants an answer whatever happens."""
    token = _words.set(words)
    try:
        yield
    finally:
        _words.reset(token)


@contextmanager
def guarded() -> Iterator[None]:
    """In here, this process may be ended from outside. Whatever leaves by itself, errors included, is answered by others."""
    words = _words.get()
    if words is None:
        yield
        return
    with _waiting(words) as witness:
        try:
            yield
        finally:
            assert witness.stdin is not None
            with suppress(OSError):  # it is gone already, and nobody needs it
                witness.stdin.write(FINE)
                witness.stdin.flush()


def _waiting(words: Words) -> "subprocess.Popen[bytes]":
    """In a session of its own: Ctrl-C is not for it."""
    command = [sys.executable, "-I", "-S", "-c", _WAIT]
    witness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=words.out, start_new_session=True)
    assert witness.stdin is not None
    with suppress(OSError):
        witness.stdin.write(words.text.encode())
        witness.stdin.flush()
    return witness
