"""Encodes columns as the rows of a binary COPY, in machine code: the other direction of the source's decoder.

A row is a count of fields, and for each field a length (-1: NULL) and its bytes, the highest first
(https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). A block of rows is measured, then each row gets its place, then
one column after the other writes its field of every row: `at` has for each row of the block where its next field begins.

`bit`: the number of the block's first row in `valid`, the validity bits; without NULLs `has_nulls` is 0.
"""

import numpy as np

from ingest_ray.machine_code.functions import MachineCode

# The items of `fitted`: the rows that have room; the bytes of them, or of the first one that has none.
ROWS, NEED = 0, 1
FOUR_DIGITS = 10_000
LEAST = np.int64(-(2**63))  # of the server's times this one, and the least of its dates, is -infinity

code = MachineCode(__name__)


@code.inner
def is_valid(valid, has_nulls, bit):  # type: ignore[no-untyped-def]
    return not has_nulls or (np.int64(valid[np.uint64(bit >> 3)]) >> (bit & 7)) & 1


@code.inner
def put_two(out, at, value):  # type: ignore[no-untyped-def]
    first = np.uint64(at)
    out[first] = value >> 8
    out[first + np.uint64(1)] = value


@code.inner
def put_four(out, at, value):  # type: ignore[no-untyped-def]
    first = np.uint64(at)
    out[first] = value >> 24
    out[first + np.uint64(1)] = value >> 16
    out[first + np.uint64(2)] = value >> 8
    out[first + np.uint64(3)] = value


@code.exported("int64(int64[::1], uint8[::1], int64, int64, int64)")
def add_widths(sizes, valid, bit, rows, width):  # type: ignore[no-untyped-def]
    """The bytes of a column with NULLs whose values have one width, without their lengths."""
    for row in range(rows):
        if is_valid(valid, 1, bit + row):
            sizes[row] += width
    return 0


@code.exported("int64(int64[::1], int32[::1], int64, uint8[::1], int64, int64, int64)")
def add_lengths(sizes, offsets, first, valid, has_nulls, bit, rows):  # type: ignore[no-untyped-def]
    """The same of texts."""
    for row in range(rows):
        if is_valid(valid, has_nulls, bit + row):
            sizes[row] += offsets[first + row + 1] - offsets[first + row]
    return 0


@code.exported("int64(uint8[::1], int64[::1], int64[::1], int64, int64, int64, int64[::1])")
def lay_out_rows(out, at, sizes, rows, fixed_bytes, fields, fitted):  # type: ignore[no-untyped-def]
    """As many rows as `out` has room for; each with its count of fields."""
    position = np.int64(0)
    fitted[ROWS] = rows
    for row in range(rows):
        after = position + fixed_bytes + sizes[row]
        if after > out.shape[0]:
            fitted[ROWS] = row
            if row == 0:
                position = after
            break
        put_two(out, position, fields)
        at[row] = position + 2
        position = after
    fitted[NEED] = position
    return 0


@code.exported("int64(uint8[::1], int64[::1], int64[::1], int64, uint8[::1], int64, int64, int64, int64)")
def write_eights(out, at, values, first, valid, has_nulls, bit, rows, subtracted):  # type: ignore[no-untyped-def]
    """-1 where a value is out of range."""
    for row in range(rows):
        position = at[row]
        if is_valid(valid, has_nulls, bit + row):
            value = values[np.uint64(first + row)]
            if subtracted and value <= LEAST + subtracted:
                return -1
            value -= subtracted
            put_four(out, position, np.int64(8))
            put_four(out, position + 4, value >> 32)
            put_four(out, position + 8, value)
            at[row] = position + 12
        else:
            put_four(out, position, np.int64(-1))
            at[row] = position + 4
    return 0


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, uint8[::1], int64, int64, int64, int64)")
def write_fours(out, at, values, first, valid, has_nulls, bit, rows, subtracted):  # type: ignore[no-untyped-def]
    """-1 where a value is out of range."""
    for row in range(rows):
        position = at[row]
        if is_valid(valid, has_nulls, bit + row):
            value = np.int64(values[np.uint64(first + row)]) - subtracted
            if subtracted and value <= -0x80000000:
                return -1
            put_four(out, position, np.int64(4))
            put_four(out, position + 4, value)
            at[row] = position + 8
        else:
            put_four(out, position, np.int64(-1))
            at[row] = position + 4
    return 0


@code.exported("int64(uint8[::1], int64[::1], int16[::1], int64, uint8[::1], int64, int64, int64)")
def write_twos(out, at, values, first, valid, has_nulls, bit, rows):  # type: ignore[no-untyped-def]
    for row in range(rows):
        position = at[row]
        if is_valid(valid, has_nulls, bit + row):
            put_four(out, position, np.int64(2))
            put_two(out, position + 4, np.int64(values[np.uint64(first + row)]))
            at[row] = position + 6
        else:
            put_four(out, position, np.int64(-1))
            at[row] = position + 4
    return 0


@code.exported("int64(uint8[::1], int64[::1], uint8[::1], int64, uint8[::1], int64, int64, int64, int64)")
def write_fixed(out, at, values, first, valid, has_nulls, bit, rows, width):  # type: ignore[no-untyped-def]
    for row in range(rows):
        position = at[row]
        if is_valid(valid, has_nulls, bit + row):
            put_four(out, position, np.int64(width))
            into, source = np.uint64(position + 4), np.uint64((first + row) * width)
            for index in range(np.uint64(width)):
                out[into + index] = values[source + index]
            at[row] = position + 4 + width
        else:
            put_four(out, position, np.int64(-1))
            at[row] = position + 4
    return 0


@code.exported("int64(uint8[::1], int64[::1], int32[::1], uint8[::1], int64, uint8[::1], int64, int64, int64)")
def write_texts(out, at, offsets, values, first, valid, has_nulls, bit, rows):  # type: ignore[no-untyped-def]
    for row in range(rows):
        position = at[row]
        if is_valid(valid, has_nulls, bit + row):
            begin = np.int64(offsets[np.uint64(first + row)])
            size = np.int64(offsets[np.uint64(first + row + 1)]) - begin
            put_four(out, position, size)
            into, source = np.uint64(position + 4), np.uint64(begin)
            for index in range(np.uint64(size)):
                out[into + index] = values[source + index]
            at[row] = position + 4 + size
        else:
            put_four(out, position, np.int64(-1))
            at[row] = position + 4
    return 0


@code.exported("int64(uint8[::1], int64[::1], uint8[::1], int64)")
def write_constants(out, at, fields, rows):  # type: ignore[no-untyped-def]
    """Fields that are the same in every row."""
    for row in range(rows):
        into = np.uint64(at[row])
        for index in range(np.uint64(fields.shape[0])):
            out[into + index] = fields[index]
        at[row] += fields.shape[0]
    return 0


@code.inner
def power_of_ten(exponent):  # type: ignore[no-untyped-def]
    power = np.int64(1)
    for _ in range(exponent):
        power *= 10
    return power


@code.inner
def write_short_digits(out, position, number, groups, below):  # type: ignore[no-untyped-def]
    """`groups` of four digits from the last one on; `below`: digits of the last group that the number does not have. What is left."""
    rest = number
    if below:
        power = power_of_ten(4 - below)
        put_two(out, position + 2 * (groups - 1), (rest % power) * power_of_ten(below))
        rest //= power
        groups -= 1
    for group in range(groups - 1, -1, -1):
        put_two(out, position + 2 * group, rest % FOUR_DIGITS)
        rest //= FOUR_DIGITS
    return rest


@code.inner
def write_long_digits(out, position, high, low, groups, below):  # type: ignore[no-untyped-def]
    """The same of a number of 128 bits without a sign: each step divides four parts of 32 bits. 0 where nothing is left."""
    mask = np.int64(0xFFFFFFFF)
    a, b, c, d = (high >> 32) & mask, high & mask, (low >> 32) & mask, low & mask
    for group in range(groups - 1, -1, -1):
        is_last = group == groups - 1 and below > 0
        power = power_of_ten(4 - below) if is_last else np.int64(FOUR_DIGITS)
        a, rest = a // power, a % power
        b, rest = ((rest << 32) | b) // power, ((rest << 32) | b) % power
        c, rest = ((rest << 32) | c) // power, ((rest << 32) | c) % power
        d, rest = ((rest << 32) | d) // power, ((rest << 32) | d) % power
        put_two(out, position + 2 * group, rest * power_of_ten(below) if is_last else rest)
    return a | b | c | d


@code.exported("int64(uint8[::1], int64[::1], int64[::1], int64, uint8[::1], int64, int64, int64, int64, int64)")
def write_decimals(out, at, values, first, valid, has_nulls, bit, rows, scale, groups):  # type: ignore[no-untyped-def]
    """Decimals of 128 bits as `numeric`, all with the digits of their type: the server drops zeros at both ends (`make_result` in
    `src/backend/utils/adt/numeric.c`). -1 where a number has more digits than its type."""
    below = (4 - scale % 4) % 4
    weight = groups - (scale + 3) // 4 - 1
    for row in range(rows):
        position = at[row]
        if is_valid(valid, has_nulls, bit + row):
            low, high = values[np.uint64(2 * (first + row))], values[np.uint64(2 * (first + row) + 1)]
            is_negative = high < 0
            if is_negative:
                low = np.int64(~np.uint64(low) + np.uint64(1))  # wraps around, which numbers with a sign must not
                high = ~high + (1 if low == 0 else 0)
            put_four(out, position, np.int64(8 + 2 * groups))
            put_two(out, position + 4, np.int64(groups))
            put_two(out, position + 6, np.int64(weight))
            put_two(out, position + 8, np.int64(0x4000 if is_negative else 0))
            put_two(out, position + 10, np.int64(scale))
            if high == 0 and low >= 0:
                left = write_short_digits(out, position + 12, low, groups, below)
            else:
                left = write_long_digits(out, position + 12, high, low, groups, below)
            if left:
                return -1
            at[row] = position + 12 + 2 * groups
        else:
            put_four(out, position, np.int64(-1))
            at[row] = position + 4
    return 0
