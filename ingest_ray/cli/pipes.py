"""Standard streams that outlive their readers: what is written after `head` has closed the pipe is dropped, and the command goes on.

So a command ends with its own exit code, and a run is not ended because nobody reads its progress any more.
"""

import io
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class PipeFile(io.FileIO):
    """`is_broken`: the reader has closed the pipe."""

    is_broken = False

    def write(self, content: "ReadableBuffer", /) -> int:
        if not self.is_broken:
            try:
                return super().write(content) or 0
            except BrokenPipeError:
                self.is_broken = True
        return memoryview(content).nbytes


def open_stream(descriptor: int, *, line_buffering: bool, owns: bool) -> TextIO:
    """A text stream in UTF-8 on a descriptor. `owns`: closing the stream closes the descriptor."""
    raw = PipeFile(descriptor, "w", closefd=owns)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=line_buffering
    )


def is_broken(stream: TextIO) -> bool:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return isinstance(raw, PipeFile) and raw.is_broken


def outlive_readers() -> None:
    """Replaces stdout and stderr of this process."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None or stream.fileno() != descriptor:
            continue
        stream.flush()
        is_bounded = name == "stderr" or stream.isatty()
        setattr(sys, name, open_stream(descriptor, line_buffering=is_bounded, owns=False))
