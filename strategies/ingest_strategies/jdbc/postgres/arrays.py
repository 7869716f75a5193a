"""Decodes arrays of PostgreSQL, a column of a page at a time, as lists: each element as a row of one column.

Several dimensions become one list, as in ADBC; the reader selects NULL in place of such a value
(https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/adt/arrayfuncs.c, `array_send`).
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest_strategies.jdbc.postgres import copy_kernel as kernel
from ingest_strategies.jdbc.postgres.page import CopiedType, Page

LEAST_BYTES = 1_024


class NoArray(Exception):
    """The bytes are not those of an array of such elements."""


def decode_arrays(sent: pa.Array, element: CopiedType) -> pa.Array:
    """`sent`: the binary forms of arrays.

    Raises:
        NoArray: a value is none.
    """
    if pc.any(pc.equal(pc.binary_length(sent), 0)).as_py():
        raise NoArray("a value without a byte is no array")
    rows = len(sent)
    _, ends, content = sent.buffers()
    octets = np.frombuffer(content, np.uint8) if content is not None and content.size else np.zeros(1, np.uint8)
    begins = np.zeros(rows + 1, np.int32)
    wire = np.empty(octets.size + octets.size // 2 + 1, np.uint8)
    filled = kernel.unfold_arrays(octets, np.frombuffer(ends, np.int32), rows, wire, begins)
    if filled < 0:
        raise NoArray("a value is no array")
    mask = sent.is_null() if sent.null_count else None
    kind = pa.list_(element.arrow)
    return pa.ListArray.from_arrays(pa.array(begins), _elements(wire, filled, element), type=kind, mask=mask)


def _elements(wire: npt.NDArray[np.uint8], filled: int, element: CopiedType) -> pa.Array:
    state = np.zeros(kernel.STATES, np.int64)
    state[kernel.FILLED] = filled
    page_bytes = max(filled, LEAST_BYTES)  # no value is larger than it was sent
    found: list[pa.Array] = []
    room = {0: page_bytes}  # a named room: memory of any size is not kept for other pages
    while state[kernel.AT] < filled:
        page = Page([element], page_bytes, room)
        state[kernel.ROWS] = state[kernel.BYTES] = 0
        state[kernel.MOST_BYTES], state[kernel.MOST_ROWS] = page_bytes, page.most_rows
        state[kernel.FIXED_BYTES] = page.fixed_bytes
        status = kernel.decode_joined(wire, state, page.columns, page.octets, page.shorts, page.ints, page.longs)
        rows = int(state[kernel.ROWS])
        if status not in (kernel.MORE, kernel.FULL, kernel.GROW) or (
            status == kernel.MORE and state[kernel.AT] != filled
        ):
            raise NoArray(f"an element of an array is no {element.arrow}")
        if rows:
            found.append(page.batch(rows).column(0))
        if status == kernel.GROW:
            room = {0: int(state[kernel.ROOM])}
    return pa.concat_arrays(found) if found else pa.array([], element.arrow)
