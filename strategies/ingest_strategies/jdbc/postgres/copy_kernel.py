"""Decodes the rows of a binary COPY into the columns of a page, in machine code.

A message is a letter, a length that counts itself, and a payload; those of a COPY ('d') are one stream, wherever they are cut
(https://www.postgresql.org/docs/current/protocol-message-formats.html). A row of the stream is a count of fields, and for each field a
length (-1: NULL) and its bytes; the count -1 ends the stream (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
All numbers have the highest byte first.

A page is one piece of memory, seen as octets and as numbers of 16, 32 and 64 bits. A row that turns out incomplete, or too large for the page,
is decoded again from its beginning: until its last value is there, nothing counts.
"""

import numpy as np

from ingest_ray.machine_code.functions import MachineCode

# The results of `join_payloads` and of the decoding functions; `WHOLE` is that of one row.
MORE, FULL, END, OTHER, MALFORMED, WHOLE, MOVED, GROW, WRONG, ODD = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
# The items of `state`: where the received bytes begin that were not looked at; how many bytes of the present message are left; where
# the joined payloads end; where the next row begins; the rows so far; how many bytes an incomplete message or row needs at least; the
# column of `GROW`, `WRONG` and `ODD`, for the first with the bytes that it needs; the bytes of the page so far, and how many it may
# have; the rows it may have; the bytes of a row without its texts.
RAW, LEFT, FILLED, AT, ROWS, NEED, COLUMN, ROOM, BYTES, MOST_BYTES, MOST_ROWS, FIXED_BYTES = range(12)
STATES = 12
# The items of a column: the form of its values; what is added to a number or left out of a text, the width of bytes or the scale of a
# decimal; the least decimal that is too large; where its validity bits begin (in octets), its values (in items of their width) and
# its texts (in octets); the octets of room for these; whether it has had a NULL.
FORM, CHANGE, LIMIT, VALID, VALUES, TEXTS, TEXT_ROOM, HAS_NULL = range(8)
ITEMS = 8
EIGHT, FOUR, TWO, BIT, TEXT, FIXED, DECIMAL = 0, 1, 2, 3, 4, 5, 6
WIDEST = 18  # digits of a decimal that an int64 holds
NO_POWER = -5
# Indexes without a sign: for others each access looks whether it counts from the end, so that bytes are not loaded together.
ONE, TWO_MORE, THREE_MORE = np.uint64(1), np.uint64(2), np.uint64(3)

code = MachineCode(__name__)


@code.inner
def number_at(wire, at):  # type: ignore[no-untyped-def]
    """Four bytes as a signed number."""
    first = np.uint64(at)
    value = (
        np.int64(wire[first]) << 24
        | np.int64(wire[first + ONE]) << 16
        | np.int64(wire[first + TWO_MORE]) << 8
        | np.int64(wire[first + THREE_MORE])
    )
    return value - (1 << 32) if value >= 1 << 31 else value


@code.inner
def short_at(wire, at):  # type: ignore[no-untyped-def]
    """Two bytes as a number without a sign."""
    first = np.uint64(at)
    return np.int64(wire[first]) << 8 | np.int64(wire[first + ONE])


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
def power_of_ten(exponent):  # type: ignore[no-untyped-def]
    power = 1
    for _ in range(exponent):
        power *= 10
    return power


@code.inner
def decimal_at(wire, at, length, scale, limit):  # type: ignore[no-untyped-def]
    """Whether the `numeric` can be decoded here, and its value in units of `10 ** -scale`; NaN, the infinities and what has more digits
    than the declared type or than an int64 cannot."""
    if length < 8:
        return False, 0
    count, weight, sign = short_at(wire, at), short_at(wire, at + 2), short_at(wire, at + 4)
    if sign > 0x4000 or length != 8 + 2 * count:
        return False, 0
    if not count:
        return True, 0
    weight = weight - 65536 if weight >= 32768 else weight
    below = 4 * (weight - count + 1) + scale  # of ten, that the last digit stands for
    first = short_at(wire, at + 8)
    digits = 1 + (first > 9) + (first > 99) + (first > 999)
    if 4 * weight + digits + scale > WIDEST or below <= -4:
        return False, 0
    number = np.int64(0)
    for index in range(count - 1):
        number = number * 10_000 + short_at(wire, at + 8 + 2 * index)
    last = short_at(wire, at + 6 + 2 * count)
    if below >= 0:
        number = number * 10_000 + last
        for _ in range(below):
            number *= 10
    elif below == -1:
        if last % 10:
            return False, 0
        number = number * 1_000 + last // 10
    elif below == -2:
        if last % 100:
            return False, 0
        number = number * 100 + last // 100
    else:
        if last % 1_000:
            return False, 0
        number = number * 10 + last // 1_000
    if number >= limit:
        return False, 0
    return True, -number if sign else number


@code.inner
def set_null(column, row, item, octets, shorts, ints, longs):  # type: ignore[no-untyped-def]
    """A cleared validity bit, and a value of zeros."""
    octets[item[VALID] + (row >> 3)] &= ~(1 << (row & 7))
    item[HAS_NULL] = 1
    form, values = item[FORM], item[VALUES]
    if form == EIGHT:
        longs[values + row] = 0
    elif form == FOUR:
        ints[values + row] = 0
    elif form == TWO:
        shorts[values + row] = 0
    elif form == BIT:
        octets[values + (row >> 3)] &= ~(1 << (row & 7))
    elif form == TEXT:
        ints[values + row + 1] = ints[values + row]
    elif form == FIXED:
        width = item[CHANGE]
        for index in range(width):
            octets[values + row * width + index] = 0
    else:
        longs[values + 2 * row] = longs[values + 2 * row + 1] = 0


@code.inner
def set_value(wire, at, length, row, item, octets, shorts, ints, longs):  # type: ignore[no-untyped-def]
    """`WHOLE`, `WRONG`, `ODD`, or `GROW` with the room that the texts need; and the bytes of text."""
    form, values, change = item[FORM], item[VALUES], item[CHANGE]
    if form == TEXT:
        size = length - change
        offset = np.uint64(values + row)
        begin = np.int64(ints[offset])
        if size < 0 or (change and wire[at] != 1):
            return WRONG, 0
        if begin + size > item[TEXT_ROOM]:
            return GROW, begin + size
        into, source = np.uint64(item[TEXTS] + begin), np.uint64(at + change)
        for index in range(np.uint64(size)):
            octets[into + index] = wire[source + index]
        ints[offset + ONE] = begin + size
        return WHOLE, size
    if form == DECIMAL:
        is_decoded, number = decimal_at(wire, at, length, change, item[LIMIT])
        if not is_decoded:
            return ODD, 0
        into = np.uint64(values + 2 * row)
        longs[into] = number
        longs[into + ONE] = number >> 63
    elif form == EIGHT:
        if length != 8:
            return WRONG, 0
        longs[np.uint64(values + row)] = (number_at(wire, at) << 32 | (number_at(wire, at + 4) & 0xFFFFFFFF)) + change
    elif form == FOUR:
        if length != 4:
            return WRONG, 0
        ints[np.uint64(values + row)] = number_at(wire, at) + change
    elif form == TWO:
        if length != 2:
            return WRONG, 0
        shorts[np.uint64(values + row)] = short_at(wire, at)
    elif form == BIT:
        if length != 1:
            return WRONG, 0
        bit = 1 << (row & 7)
        into = np.uint64(values + (row >> 3))
        octets[into] = (octets[into] & ~bit) | (bit if wire[at] else 0)
    else:
        if length != change:
            return WRONG, 0
        for index in range(change):
            octets[values + row * change + index] = wire[at + index]
    return WHOLE, 0


@code.inner
def decode_row(wire, at, end, state, columns, octets, shorts, ints, longs):  # type: ignore[no-untyped-def]
    """The status, and where the row ends or for `MORE` the bytes that it needs at least."""
    row = state[ROWS]
    if end - at < 2:
        return MORE, 2
    fields = short_at(wire, at)
    if fields == 0xFFFF:
        return END, at + 2
    if fields != columns.shape[0]:
        return MALFORMED, at
    position = at + 2
    texts = np.int64(0)
    for column in range(columns.shape[0]):
        if end - position < 4:
            return MORE, position + 4 - at
        length = number_at(wire, position)
        position += 4
        if length < 0:
            if length != -1:
                return MALFORMED, at
            set_null(column, row, columns[column], octets, shorts, ints, longs)
            continue
        if length > end - position:
            return MORE, position + length - at
        status, size = set_value(wire, position, length, row, columns[column], octets, shorts, ints, longs)
        if status != WHOLE:
            state[COLUMN], state[ROOM] = column, size
            return status, at
        texts += size
        position += length
    after = state[BYTES] + state[FIXED_BYTES] + texts
    if row and after > state[MOST_BYTES]:
        return FULL, at
    state[BYTES] = after
    state[ROWS] = row + 1
    return WHOLE, position


@code.inner
def decode_region(wire, at, end, state, columns, octets, shorts, ints, longs):  # type: ignore[no-untyped-def]
    """Decodes the rows in `wire[at:end]`: the status, where the next row begins, and the result for it."""
    while at < end:
        if state[ROWS] == state[MOST_ROWS]:
            return FULL, at, at
        status, after = decode_row(wire, at, end, state, columns, octets, shorts, ints, longs)
        if status == END:
            return END if after == end else MALFORMED, after, after
        if status != WHOLE:
            return status, at, after
        at = after
    return MORE, at, 0


@code.exported("int64(uint8[::1], int64[::1], int64[:, ::1], uint8[::1], int16[::1], int32[::1], int64[::1])")
def decode_joined(wire, state, columns, octets, shorts, ints, longs):  # type: ignore[no-untyped-def]
    """Decodes the whole rows among the joined payloads, until the page is full."""
    status, at, result = decode_region(wire, state[AT], state[FILLED], state, columns, octets, shorts, ints, longs)
    state[AT] = at
    if status == MORE:
        state[NEED] = result
    return status


@code.exported("int64(uint8[::1], int64, int64[::1], int64[:, ::1], uint8[::1], int16[::1], int32[::1], int64[::1])")
def decode_messages(wire, end, state, columns, octets, shorts, ints, longs):  # type: ignore[no-untyped-def]
    """The same for rows that lie in whole messages, where they were received: usual, and no byte is moved.

    `OTHER`: before a message that is not of this kind, for `join_payloads`.
    """
    while True:
        raw = state[RAW]
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
        rows, size = state[ROWS], state[BYTES]
        status, at, _ = decode_region(wire, raw + 5, after, state, columns, octets, shorts, ints, longs)
        if at == after and status == MORE:
            state[RAW] = state[AT] = state[FILLED] = after
            continue
        if at == raw + 5 and status in (FULL, GROW, ODD):
            return status
        state[ROWS], state[BYTES] = rows, size  # several rows in a message, or parts of one: joined, and decoded there
        return OTHER


@code.exported("int64(uint8[::1], int32[::1], int64, uint8[::1], int32[::1])")
def unfold_arrays(sent, ends, rows, wire, begins):  # type: ignore[no-untyped-def]
    """Writes the elements of arrays as rows of one field, which `decode_joined` decodes: how many bytes they are, -1 for what is no array.

    `sent[ends[row]:ends[row + 1]]` is an array: the number of its dimensions, whether it has NULLs, the type of its elements; the length
    and the first index of each dimension; then its elements as the fields of a row are. No bytes: NULL. `begins` gets where each array's
    elements begin. `wire` has half as many bytes again as `sent`.
    """
    filled = np.int64(0)
    begins[0] = 0
    for row in range(rows):
        at, end = np.int64(ends[row]), np.int64(ends[row + 1])
        count = np.int64(0)
        if at != end:
            if end - at < 12:
                return -1
            dimensions = number_at(sent, at)
            at += 12
            if dimensions < 0 or dimensions > 6 or end - at < 8 * dimensions:
                return -1
            count = np.int64(1) if dimensions else np.int64(0)
            for _ in range(dimensions):
                count *= number_at(sent, at)
                at += 8
                if count < 0 or 4 * count > end - at:
                    return -1
        for _ in range(count):
            if end - at < 4:
                return -1
            length = number_at(sent, at)
            size = (length if length > 0 else 0) + 4
            if size > end - at:
                return -1
            wire[filled], wire[filled + 1] = 0, 1
            filled += 2
            for index in range(size):
                wire[filled + index] = sent[at + index]
            filled += size
            at += size
        if at != end:
            return -1
        begins[row + 1] = begins[row] + count
    return filled
