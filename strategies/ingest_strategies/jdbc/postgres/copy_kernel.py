"""Takes the rows of a binary COPY apart, in machine code.

A message is a letter, a length that counts itself, and a payload; those of a COPY ('d') are one stream, wherever they are cut
(https://www.postgresql.org/docs/current/protocol-message-formats.html). A row of the stream is a count of fields, and for each field a
length (-1: NULL) and its bytes; the count -1 ends the stream (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
All numbers have the highest byte first.
"""

import numpy as np

from ingest_strategies.jdbc.machine_code.functions import MachineCode

# The results of `join_payloads` and of the splitting functions; `WHOLE` is that of one row.
MORE, FULL, END, OTHER, MALFORMED, WHOLE, MOVED = 0, 1, 2, 3, 4, 5, 6
# The items of `state`: where the received bytes begin that were not looked at; how many bytes of the present message are left; where
# the joined payloads end; where the next row begins; the rows so far; how many bytes an incomplete message or row needs at least.
RAW, LEFT, FILLED, AT, ROWS, NEED = 0, 1, 2, 3, 4, 5
STATES = 6

code = MachineCode(__name__)


@code.inner
def number_at(wire, at):  # type: ignore[no-untyped-def]
    """Four bytes as a signed number."""
    value = (
        np.int64(wire[at]) << 24 | np.int64(wire[at + 1]) << 16 | np.int64(wire[at + 2]) << 8 | np.int64(wire[at + 3])
    )
    return value - (1 << 32) if value >= 1 << 31 else value


@code.exported("int64(uint8[::1], int64, int64[::1])")
def join_payloads(wire, end, state):  # type: ignore[no-untyped-def]
    """Moves what was received of the next message's payload behind the one before: `MOVED`; `OTHER` where it is of another kind."""
    raw, left, filled = state[RAW], state[LEFT], state[FILLED]
    if not left:
        if end - raw < 5:
            state[NEED] = 5
            return MORE
        length = number_at(wire, raw + 1)
        if length < 4:
            return MALFORMED
        if wire[raw] != 0x64:
            state[NEED] = 1 + length
            return MORE if end - raw < 1 + length else OTHER
        raw += 5
        left = length - 4
    size = min(left, end - raw)
    if filled != raw:
        for index in range(size):
            wire[filled + index] = wire[raw + index]
    state[RAW], state[LEFT], state[FILLED] = raw + size, left - size, filled + size
    return MOVED if raw + size < end else MORE


@code.inner
def split_row(wire, at, end, row, starts, lengths):  # type: ignore[no-untyped-def]
    """Records where each value of the row at `at` is: the status, where the row ends, or for `MORE` the bytes that it needs at least."""
    columns = starts.shape[0]
    if end - at < 2:
        return MORE, 2
    fields = np.int64(wire[at]) << 8 | np.int64(wire[at + 1])
    if fields == 0xFFFF:
        return END, at + 2
    if fields != columns:
        return MALFORMED, at
    position = at + 2
    for column in range(columns):
        if end - position < 4:
            return MORE, position + 4 - at
        length = number_at(wire, position)
        position += 4
        if length < -1:
            return MALFORMED, at
        if length > end - position:
            return MORE, position + length - at
        starts[column, row], lengths[column, row] = position, length
        position += max(length, 0)
    return WHOLE, position


@code.inner
def split_region(wire, at, end, budget, row, starts, lengths):  # type: ignore[no-untyped-def]
    """Splits the rows in `wire[at:end]`: the status, where the next row begins, the number of rows, and the result for it."""
    most = starts.shape[1]
    while at < end:
        status, after = split_row(wire, at, end, row, starts, lengths)
        if status == END:
            return END if after == end else MALFORMED, after, row, after
        if status != WHOLE:
            return status, at, row, after
        if row and after - starts[0, 0] > budget:
            return FULL, at, row, after
        at = after
        row += 1
        if row == most:
            return FULL, at, row, after
    return MORE, at, row, 0


@code.exported("int64(uint8[::1], int64, int64[::1], int64[:, ::1], int32[:, ::1])")
def split_rows(wire, budget, state, starts, lengths):  # type: ignore[no-untyped-def]
    """Records where each value of the whole rows among the joined payloads is: `starts` and `lengths` (-1: NULL), column by column.
    A batch of more than one row has at most about `budget` bytes."""
    status, at, rows, result = split_region(wire, state[AT], state[FILLED], budget, state[ROWS], starts, lengths)
    state[AT], state[ROWS] = at, rows
    if status == MORE:
        state[NEED] = result
    return status


@code.exported("int64(uint8[::1], int64, int64, int64[::1], int64[:, ::1], int32[:, ::1])")
def split_messages(wire, end, budget, state, starts, lengths):  # type: ignore[no-untyped-def]
    """The same for rows that lie in whole messages, where they were received: usual, and no byte is moved.

    `OTHER`: before a message that is not of this kind, for `join_payloads`.
    """
    while True:
        raw, row = state[RAW], state[ROWS]
        if state[LEFT] or state[AT] != state[FILLED]:
            return OTHER
        if end - raw < 5:
            state[NEED] = 5
            return MORE
        after = raw + 1 + number_at(wire, raw + 1)
        if wire[raw] != 0x64 or after < raw + 5:
            return OTHER
        if after > end:
            state[NEED] = after - raw
            return MORE
        status, at, rows, _ = split_region(wire, raw + 5, after, budget, row, starts, lengths)
        if status == FULL and at == raw + 5:
            return FULL
        if at != after or status in (MALFORMED, END):
            return OTHER
        state[RAW] = state[AT] = state[FILLED] = after
        state[ROWS] = rows
        if status == FULL:
            return FULL


@code.exported("void(int32[:, ::1], int64, int64[::1], int64[::1])")
def measure_columns(lengths, rows, sizes, nulls):  # type: ignore[no-untyped-def]
    for column in range(lengths.shape[0]):
        size = missing = 0
        for row in range(rows):
            length = lengths[column, row]
            if length < 0:
                missing += 1
            else:
                size += length
        sizes[column], nulls[column] = size, missing


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, int64[::1], uint8[::1])")
def gather_eight(wire, starts, lengths, added, values, valid):  # type: ignore[no-untyped-def]
    """Numbers of eight bytes, to each of which `added` is added, and their validity bits where `valid` has any bytes (zeros)."""
    for row in range(lengths.size):
        if lengths[row] == 8:
            at = starts[row]
            high = number_at(wire, at)
            low = number_at(wire, at + 4) & 0xFFFFFFFF
            values[row] = (high << 32 | low) + added
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        elif lengths[row] == -1:
            values[row] = 0
        else:
            return False
    return True


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, int32[::1], uint8[::1])")
def gather_four(wire, starts, lengths, added, values, valid):  # type: ignore[no-untyped-def]
    for row in range(lengths.size):
        if lengths[row] == 4:
            values[row] = number_at(wire, starts[row]) + added
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        elif lengths[row] == -1:
            values[row] = 0
        else:
            return False
    return True


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int16[::1], uint8[::1])")
def gather_two(wire, starts, lengths, values, valid):  # type: ignore[no-untyped-def]
    for row in range(lengths.size):
        if lengths[row] == 2:
            at = starts[row]
            values[row] = np.int64(wire[at]) << 8 | np.int64(wire[at + 1])
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        elif lengths[row] == -1:
            values[row] = 0
        else:
            return False
    return True


@code.exported("int64(uint8[::1], int64[::1], int32[::1], uint8[::1], uint8[::1])")
def gather_bits(wire, starts, lengths, bits, valid):  # type: ignore[no-untyped-def]
    """Booleans, a bit each in `bits` (zeros)."""
    for row in range(lengths.size):
        if lengths[row] == 1:
            if wire[starts[row]]:
                bits[row >> 3] |= 1 << (row & 7)
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        elif lengths[row] != -1:
            return False
    return True


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, int32[::1], uint8[::1], uint8[::1])")
def gather_bytes(wire, starts, lengths, skipped, offsets, data, valid):  # type: ignore[no-untyped-def]
    """Texts and bytes, without the first `skipped` bytes of each, which are the version of its form."""
    filled = 0
    offsets[0] = 0
    for row in range(lengths.size):
        size = lengths[row] - skipped
        if lengths[row] >= 0:
            if size < 0 or (skipped and wire[starts[row]] != 1):
                return False
            start = starts[row] + skipped
            for index in range(size):
                data[filled + index] = wire[start + index]
            filled += size
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        offsets[row + 1] = filled
    return True


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, uint8[::1], uint8[::1])")
def gather_fixed(wire, starts, lengths, width, data, valid):  # type: ignore[no-untyped-def]
    """Bytes of one width; `data` has zeros."""
    for row in range(lengths.size):
        if lengths[row] == width:
            for index in range(width):
                data[row * width + index] = wire[starts[row] + index]
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        elif lengths[row] != -1:
            return False
    return True
