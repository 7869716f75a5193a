"""Splits the packets of a result into columns, in machine code.

A packet is a length of three bytes, a number, and a payload; a payload of 0xffffff bytes goes on in the next packet
(https://mariadb.com/kb/en/0-packet/). A row is one text with its length in front per column
(https://mariadb.com/kb/en/resultset-row/). A row in binary form is a zero, a bit for each NULL, and the other values
(https://mariadb.com/kb/en/resultset-row/#binary-resultset-row).
"""

import numpy as np

from ingest_ray.machine_code.functions import MachineCode

# The results of `split_rows`, the first four of them without a fault; and `WHOLE`, that of `measure_row` for a complete row.
MORE, FULL, END, FAILED, OUT_OF_ORDER, MALFORMED, WHOLE = 0, 1, 2, 3, 4, 5, 6
# The items of `state`: where the next packet begins and how many bytes it needs as far as is known, the number that it must have,
# the rows so far; where the payload of an `END` or a `FAILED` begins and ends.
AT, NEED, NUMBER, ROWS, BEGIN, STOP = 0, 1, 2, 3, 4, 5
STATES = 6

code = MachineCode(__name__)

# The width of a value in binary form: a number of bytes, or where its length is written: as of a text, or in one byte.
LIKE_TEXT, ONE_BYTE = 0, -1

LONGEST_PACKET = 0xFFFFFF
LONGEST_CELL = 2**31 - 1  # the largest offset of Arrow's binary type


@code.inner
def measure_row(wire, at, end, number):  # type: ignore[no-untyped-def]
    """The packets of the row that begins at `at`: (`WHOLE`, where it ends, the number of the next packet, bytes of payload).

    Else `MORE` and where the needed bytes end, or `OUT_OF_ORDER` and where the packet begins.
    """
    after, payload, last = at, 0, LONGEST_PACKET
    while last == LONGEST_PACKET:
        if end - after < 4:
            return MORE, after + 4, number, payload
        last = int(wire[after]) | int(wire[after + 1]) << 8 | int(wire[after + 2]) << 16
        if wire[after + 3] != number:
            return OUT_OF_ORDER, after, number, payload
        number = (number + 1) & 0xFF
        payload += last
        after += 4 + last
        if after > end:
            return MORE, after, number, payload
    return WHOLE, after, number, payload


@code.inner
def remove_headers(wire, position, stop):  # type: ignore[no-untyped-def]
    """Removes the headers of all packets but the first from a payload that begins at `position`."""
    into = source = position + LONGEST_PACKET
    while into < stop:
        size = min(LONGEST_PACKET, stop - into)
        source += 4
        for index in range(size):
            wire[into + index] = wire[source + index]
        into += size
        source += size


@code.inner
def split_row(wire, position, stop, row, starts, lengths, sizes, nulls):  # type: ignore[no-untyped-def]
    """Records where each value of a row is; False where the payload is malformed."""
    for column in range(starts.shape[0]):
        if position >= stop:
            return False
        length = int(wire[position])
        position += 1
        if length == 0xFB:
            starts[column, row], lengths[column, row] = position, -1
            nulls[column] += 1
            continue
        if length > 0xFB:
            width = length - 0xFA if length < 0xFE else 8
            if length == 0xFF or stop - position < width:
                return False
            length = 0
            for index in range(width):
                length |= int(wire[position + index]) << (8 * index)
            position += width
            if length < 0 or length > LONGEST_CELL:
                return False
        starts[column, row], lengths[column, row] = position, length
        sizes[column] += length
        position += length
    return position == stop


@code.inner
def split_binary_row(wire, position, stop, row, starts, lengths, sizes, nulls, widths):  # type: ignore[no-untyped-def]
    """The same for a row in binary form."""
    columns = starts.shape[0]
    bits = position + 1
    if stop - position < 1 + (columns + 9) // 8 or wire[position] != 0:
        return False
    position = bits + (columns + 9) // 8
    for column in range(columns):
        if wire[bits + ((column + 2) >> 3)] >> ((column + 2) & 7) & 1:
            starts[column, row], lengths[column, row] = position, -1
            nulls[column] += 1
            continue
        length = widths[column]
        if length <= 0:
            if position >= stop:
                return False
            is_short = length == ONE_BYTE
            length = np.int64(wire[position])
            position += 1
            if length > 0xFA and not is_short:
                width = length - 0xFA if length < 0xFE else 8
                if length == 0xFB or length == 0xFF or stop - position < width:
                    return False
                length = np.int64(0)
                for index in range(width):
                    length |= np.int64(wire[position + index]) << (8 * index)
                position += width
                if length < 0 or length > LONGEST_CELL:
                    return False
        if length > stop - position:
            return False
        starts[column, row], lengths[column, row] = position, length
        sizes[column] += length
        position += length
    return position == stop


@code.exported(
    "int64(uint8[::1], int64, int64, int64[::1], int64[:, ::1], int32[:, ::1], int64[::1], int64[::1], int64[::1])"
)
def split_rows(wire, end, budget, state, starts, lengths, sizes, nulls, widths):  # type: ignore[no-untyped-def]
    """Takes whole rows out of `wire[:end]`, until it returns one of the constants above.

    `starts` and `lengths` (-1: NULL) of every value, column by column; `sizes` and `nulls` per column. A batch of more than one row
    takes at most `budget` bytes as Arrow. A row of several packets is joined in place. `widths` per column where rows are in binary form.
    """
    columns, most = starts.shape
    first = state[AT] if state[ROWS] == 0 else starts[0, 0]
    while True:
        at, rows = state[AT], state[ROWS]
        status, after, number, payload = measure_row(wire, at, end, state[NUMBER])
        if status == MORE:
            state[NEED] = after - at
            return MORE
        if status == OUT_OF_ORDER:
            state[BEGIN] = after
            return OUT_OF_ORDER
        if rows == most or (rows and after - first + 4 * columns * (rows + 1) > budget):
            return FULL
        position, stop = at + 4, at + 4 + payload
        if payload >= LONGEST_PACKET:
            remove_headers(wire, position, stop)
        is_last = payload and (wire[position] == 0xFF or (wire[position] == 0xFE and payload < 9))
        if is_last:
            is_row = True
        elif widths.size:
            is_row = split_binary_row(wire, position, stop, rows, starts, lengths, sizes, nulls, widths)
        else:
            is_row = split_row(wire, position, stop, rows, starts, lengths, sizes, nulls)
        if not is_row:
            return MALFORMED
        state[AT], state[NUMBER] = after, number
        if is_last:
            state[BEGIN], state[STOP] = position, stop
            return FAILED if wire[position] == 0xFF else END
        state[ROWS] = rows + 1


@code.exported("void(uint8[::1], int64[::1], int32[::1], int32[::1], uint8[::1], uint8[::1])")
def gather_column(wire, starts, lengths, offsets, data, valid):  # type: ignore[no-untyped-def]
    """One column of the split rows as Arrow's offsets, data and, where `valid` has any bytes (zeros), its validity bits."""
    filled = 0
    offsets[0] = 0
    for row in range(lengths.size):
        length = lengths[row]
        if length >= 0:
            into, source = np.uint64(filled), np.uint64(starts[row])  # without a sign: the bytes are moved together
            for index in range(np.uint64(length)):
                data[into + index] = wire[source + index]
            filled += length
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        offsets[row + 1] = filled
