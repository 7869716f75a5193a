"""The memory of pages, which is used again when the last array in it is gone.

Memory that the system gives is cleared by it, page by page, when it is first touched: a tenth of a reader's CPU, for each page of rows again.
"""

import weakref
from collections import deque

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Octets = npt.NDArray[np.uint8]
KEPT = 8  # pieces of a process that are not in use: two readers have up to four each until a row group is written

_kept: deque[Octets] = deque(maxlen=KEPT)
"""The piece that was used last is at the right: it may still be in the processor's cache. A full deque lets go of its left end."""


def lend_memory(size: int, *, is_usual: bool = True) -> tuple[Octets, pa.Buffer]:
    """Memory of `size` octets with any content, and the buffer over it. It is lent again after the buffer, and all that was made of it,
    are gone: whoever writes to the octets has to hold the buffer. `is_usual`: what a few huge values need is not kept."""
    octets = _take(size)
    lent = octets.view()  # Arrow's buffer holds it, and each array a buffer
    if is_usual:
        weakref.finalize(lent, _kept.append, octets).atexit = False
    return octets, pa.py_buffer(lent)


def _take(size: int) -> Octets:
    """Only of the same size: another layout touches other parts, and a piece would grow to all that it could have."""
    for _ in range(len(_kept)):
        try:
            octets = _kept.pop()
        except IndexError:  # another thread was first
            break
        if len(octets) == size:
            return octets
        _kept.appendleft(octets)
    return np.frombuffer(pa.allocate_buffer(size), np.uint8)  # aligned as Arrow wants it
