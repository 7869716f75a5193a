"""Decodes PostgreSQL's binary `numeric` in machine code, where values have at most 18 digits: the results of `numeric.decode_numerics`.

The form of a value: `ingest_strategies.jdbc.postgres.numeric`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest_strategies.jdbc.machine_code.functions import MachineCode
from ingest_strategies.jdbc.postgres import numeric

WIDEST = 18  # digits that an int64 holds
RIGHT, SPECIAL, OUT_OF_RANGE = 0, 1, 2
POWERS = np.array([10**power for power in range(19)], np.int64)

code = MachineCode(__name__)


@code.exported("int64(int32[::1], uint8[::1], int64, int64, int64, int64[::1], int64[:, ::1], uint8[::1])")
def decode_values(offsets, content, first, scale, most, powers, values, special):  # type: ignore[no-untyped-def]
    """`values`: the low and the high word of each number in units of `10 ** -scale`; of NaN and the infinities 0, and a bit in `special`.
    An empty value is NULL. `most`: the least number that is too large."""
    status = RIGHT
    for row in range(values.shape[0]):
        at, end = offsets[row] - first, offsets[row + 1] - first
        values[row, 0] = values[row, 1] = 0
        if end - at < 8:
            if end != at:
                return OUT_OF_RANGE
            continue
        count = np.int64(content[at]) << 8 | np.int64(content[at + 1])
        weight = np.int64(content[at + 2]) << 8 | np.int64(content[at + 3])
        weight = weight - 65536 if weight >= 32768 else weight
        sign = np.int64(content[at + 4]) << 8 | np.int64(content[at + 5])
        if sign > 0x4000:
            special[row >> 3] |= 1 << (row & 7)
            status = SPECIAL
            continue
        if end - at != 8 + 2 * count:
            return OUT_OF_RANGE
        number = np.int64(0)
        for index in range(count):
            word = at + 8 + 2 * index
            digit = np.int64(content[word]) << 8 | np.int64(content[word + 1])
            power = 4 * (weight - index) + scale  # of ten, that the digit stands for
            size = 4
            if power < 0:  # the last digit, of which a part lies below the scale
                if power <= -4 or digit % powers[-power] != 0:
                    return OUT_OF_RANGE
                digit //= powers[-power]
                size = 4 + power
            if number >= most or number > (most - digit) // powers[size]:
                return OUT_OF_RANGE
            number = number * powers[size] + digit
        if count:
            power = 4 * (weight - count + 1) + scale
            if power > 0:
                if number and (power > 18 or number > (most - 1) // powers[power]):
                    return OUT_OF_RANGE
                number *= powers[min(power, 18)]
        if number >= most:
            return OUT_OF_RANGE
        if sign == 0x4000:
            number = -number
        values[row, 0] = number
        values[row, 1] = -1 if number < 0 else 0
    return status


def decode_numerics(sent: pa.Array, target: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    """`numeric.decode_numerics`, for less. Raises `NumericOutOfRange` as it does."""
    rows = len(sent)
    if target.precision > WIDEST or sent.null_count == rows:
        return numeric.decode_numerics(sent, target)
    _, offsets, content = sent.buffers()
    ends = np.frombuffer(offsets, np.int32, rows + 1, 4 * sent.offset)
    first, size = int(ends[0]), int(ends[-1] - ends[0])
    values, special = np.empty((rows, 2), np.int64), np.zeros((rows + 7) // 8, np.uint8)
    bytes_of = np.frombuffer(content, np.uint8, size, first)
    status = decode_values(ends, bytes_of, first, target.scale, 10**target.precision, POWERS, values, special)
    if status == OUT_OF_RANGE:
        raise numeric.NumericOutOfRange
    validity = None if not sent.null_count else _bits(sent.is_valid())
    decoded = pa.Array.from_buffers(target, rows, [validity, pa.py_buffer(values)], sent.null_count)
    if status == RIGHT:
        return decoded, None
    is_special = pa.Array.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(special)])
    return pc.if_else(is_special, pa.scalar(None, target), decoded), is_special


def _bits(valid: pa.Array) -> pa.Buffer:
    """The validity bits of an array that begins at the beginning of its buffer."""
    return valid.buffers()[1]
