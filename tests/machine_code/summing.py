"""Functions for the tests of machine code: sums, fills and copies."""

import numpy as np

from ingest_ray.machine_code.functions import MachineCode

code = MachineCode(__name__)
FACTOR = 3


@code.inner
def times(value):  # type: ignore[no-untyped-def]
    return value * FACTOR


@code.exported("int64(int64[:, ::1], uint8[::1], int64)")
def total(numbers, filled, added):  # type: ignore[no-untyped-def]
    """`filled` becomes 7 everywhere, which LLVM makes a call of `memset`."""
    found = added
    for row in range(numbers.shape[0]):
        for column in range(numbers.shape[1]):
            found += times(numbers[row, column])
    for index in range(filled.size):
        filled[index] = 7
    return found


@code.exported("void(int32[::1], int16[::1])")
def narrow(wide, short):  # type: ignore[no-untyped-def]
    for index in range(wide.size):
        short[index] = np.int64(wide[index]) & 0x7FFF
