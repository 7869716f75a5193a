"""Divides the messages of `pgoutput` by tables, in machine code.

The messages, protocol version 1: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html. What is written for a table
has the length of each message in four bytes before it.
"""

import numpy as np

from ingest_ray.machine_code.functions import MachineCode

BEGIN_BYTES = 21
NO_TABLE, NO_TRANSACTION = -1, -1

# Of `divide`: the position and the number of the present transaction.
PRESENT_LSN, PRESENT_NUMBER = 0, 1
# Of `frame`: the transaction whose begin was written last, the position of the last one, whether a row got another key.
BEGUN, LAST, MOVES = 0, 1, 2

code = MachineCode(__name__)


@code.inner
def four_bytes(data, at):  # type: ignore[no-untyped-def]
    return (
        np.int64(data[at]) << 24 | np.int64(data[at + 1]) << 16 | np.int64(data[at + 2]) << 8 | np.int64(data[at + 3])
    )


@code.inner
def eight_bytes(data, at):  # type: ignore[no-untyped-def]
    return four_bytes(data, at) << 32 | four_bytes(data, at + 4)


@code.exported("int64(uint8[::1], int32[::1], int64, int64[::1], int64[::1], int64[::1], uint8[::1])")
def divide(data, offsets, upper, state, tables, transactions, begins):  # type: ignore[no-untyped-def]
    """The table and the transaction of each message, or `NO_TABLE`; the begins of the transactions, the present one first.

    Returns how many messages were looked at: the next one is a truncation, or of an unknown kind or form.
    """
    first = state[PRESENT_NUMBER]
    for index in range(offsets.shape[0] - 1):
        at, end = np.int64(offsets[index]), np.int64(offsets[index + 1])
        tables[index], transactions[index] = NO_TABLE, NO_TRANSACTION
        kind = data[at] if end > at else 0
        if kind == 66:  # B
            if end - at != BEGIN_BYTES:
                return index
            state[PRESENT_NUMBER] += 1
            state[PRESENT_LSN] = eight_bytes(data, at + 1)
            into = BEGIN_BYTES * (state[PRESENT_NUMBER] - first)
            for octet in range(BEGIN_BYTES):
                begins[into + octet] = data[at + octet]
        elif kind != 67 and end - at < 6:
            return index
        elif kind == 82:  # R: also of a transaction that is left out, because later ones rely on it
            tables[index] = four_bytes(data, at + 1)
        elif kind == 67 or kind == 79 or kind == 89 or kind == 77:  # C, O, Y, M
            continue
        elif kind == 73 or kind == 85 or kind == 68:  # I, U, D
            if state[PRESENT_LSN] < upper:
                tables[index] = four_bytes(data, at + 1)
                transactions[index] = state[PRESENT_NUMBER]
        elif kind != 84 or state[PRESENT_LSN] < upper:  # T
            return index
    return offsets.shape[0] - 1


@code.inner
def write_framed(source, at, size, out, filled):  # type: ignore[no-untyped-def]
    for nth in range(4):
        out[filled + nth] = (size >> (24 - 8 * nth)) & 0xFF
    filled += 4
    for octet in range(size):
        out[filled + octet] = source[at + octet]
    return filled + size


@code.exported("int64(uint8[::1], int32[::1], int64[::1], int64[::1], int64, uint8[::1], int64[::1], uint8[::1])")
def frame(data, offsets, picked, transactions, first, begins, state, out):  # type: ignore[no-untyped-def]
    """Writes one table's messages, and before the first one of each transaction its begin; returns the number of bytes."""
    filled = np.int64(0)
    for nth in range(picked.shape[0]):
        index = picked[nth]
        at = np.int64(offsets[index])
        number = transactions[index]
        if number >= 0:
            begin = BEGIN_BYTES * (number - first)
            if number != state[BEGUN]:
                state[BEGUN] = number
                filled = write_framed(begins, begin, BEGIN_BYTES, out, filled)
            state[LAST] = eight_bytes(begins, begin + 1)
            if data[at] == 85 and data[at + 5] == 75:  # an update with an old key
                state[MOVES] = 1
        filled = write_framed(data, at, np.int64(offsets[index + 1]) - at, out, filled)
    return filled
