"""Applies the messages of one table to each other, in machine code: what `net_changes.NetChanges` does, and `messages.decode_changes` before it.

A sequence has the length of each message in four bytes before it. A value is where it begins in the sequence, and its length: `NULL`, or `KEPT`
where the log does not repeat it.
"""

import numpy as np

from ingest_ray.machine_code.functions import MachineCode

NULL, KEPT = -1, -2

# The results of `apply_messages`;
DONE, RELATION, GROW, NO_KEY, MALFORMED = 0, 1, 2, 3, 4
# the operations of rows;
INSERT, UPDATE, DELETE, TRUNCATE = 0, 1, 2, 3
# the items of `state`: the next message; the present transaction, its position and whether it counts, and the next change's place in it;
# the rows so far; the transaction and the place of the last truncation, which removed all before; what counts;
# the columns of the relation, and whether it has the unit's key of old rows; whether each change is a row of its own; the changes of rows
# so far.
AT, TRANSACTION, COUNTS, NEXT_SEQ, ROWS, TRUNCATED, TRUNCATED_AT, LOWER, UPPER, COLUMNS, HAS_KEY, IS_APPEND, CHANGES = (
    range(13)
)
STATES = 13
# the items of a row: its operation; whether it had another key; its transaction; the place of the change in it; the hash of its key.
OP, MOVED, OF, SEQ, HASH = range(5)
ITEMS = 5

code = MachineCode(__name__)


@code.inner
def four_bytes(data, at):  # type: ignore[no-untyped-def]
    return (
        np.int64(data[at]) << 24 | np.int64(data[at + 1]) << 16 | np.int64(data[at + 2]) << 8 | np.int64(data[at + 3])
    )


@code.inner
def eight_bytes(data, at):  # type: ignore[no-untyped-def]
    return four_bytes(data, at) << 32 | four_bytes(data, at + 4)


@code.inner
def read_values(data, at, end, count, spans):  # type: ignore[no-untyped-def]
    """Where the values of one row are; returns where they end, or -1."""
    if end - at < 2 or (np.int64(data[at]) << 8 | np.int64(data[at + 1])) != count:
        return np.int64(-1)
    at += 2
    for column in range(count):
        if at >= end:
            return np.int64(-1)
        mark = data[at]
        at += 1
        if mark == 116:  # t: a text
            if end - at < 4:
                return np.int64(-1)
            length = four_bytes(data, at)
            at += 4
            if length > end - at:
                return np.int64(-1)
            spans[2 * column], spans[2 * column + 1] = at, length
            at += length
        else:
            spans[2 * column], spans[2 * column + 1] = 0, NULL if mark == 110 else KEPT
    return at


@code.inner
def arrange(spans, positions, row, values):  # type: ignore[no-untyped-def]
    """The values in the order of the columns that are read."""
    for column in range(positions.shape[0]):
        index = positions[column]
        values[row, 2 * column] = spans[2 * index] if index >= 0 else 0
        values[row, 2 * column + 1] = spans[2 * index + 1] if index >= 0 else KEPT


@code.inner
def fill_kept(row, other, values):  # type: ignore[no-untyped-def]
    for column in range(values.shape[1] // 2):
        if values[row, 2 * column + 1] == KEPT:
            values[row, 2 * column] = values[other, 2 * column]
            values[row, 2 * column + 1] = values[other, 2 * column + 1]


@code.inner
def hash_of(data, row, key, values):  # type: ignore[no-untyped-def]
    """FNV-1a, in 31 bits."""
    number = np.int64(1469598103934665603)
    for index in range(key.shape[0]):
        begin = np.int64(values[row, 2 * key[index]])
        length = np.int64(values[row, 2 * key[index] + 1])
        number = (number ^ (length & 0xFF)) * np.int64(1099511628211)
        for octet in range(length):
            number = (number ^ np.int64(data[begin + octet])) * np.int64(1099511628211)
    return (number ^ (number >> 29)) & 0x7FFFFFFF


@code.inner
def is_same_key(data, row, other, key, values):  # type: ignore[no-untyped-def]
    for index in range(key.shape[0]):
        column = 2 * key[index]
        length = values[row, column + 1]
        if length != values[other, column + 1]:
            return False
        begin, begin_of_other = np.int64(values[row, column]), np.int64(values[other, column])
        for octet in range(length):
            if data[begin + octet] != data[begin_of_other + octet]:
                return False
    return True


@code.inner
def find_bucket(data, row, hashed, key, values, items, buckets):  # type: ignore[no-untyped-def]
    """That of the row with this key, or the empty one in which it belongs."""
    bucket = hashed & (buckets.shape[0] - 1)
    while buckets[bucket] >= 0:
        other = np.int64(buckets[bucket])
        if np.int64(items[other, HASH]) == hashed and is_same_key(data, row, other, key, values):
            break
        bucket = (bucket + 1) & (buckets.shape[0] - 1)
    return bucket


@code.inner
def set_items(items, row, op, moved, state, hashed):  # type: ignore[no-untyped-def]
    items[row, OP], items[row, MOVED], items[row, OF] = op, moved, state[TRANSACTION]
    items[row, SEQ], items[row, HASH] = state[NEXT_SEQ], hashed


@code.inner
def put(data, row, op, moved, key, values, items, buckets, state):  # type: ignore[no-untyped-def]
    """The row that lies behind the last one takes the place of the one with its key, or stays there."""
    hashed = hash_of(data, row, key, values)
    bucket = find_bucket(data, row, hashed, key, values, items, buckets)
    target = np.int64(buckets[bucket])
    if target < 0:
        target = state[ROWS]
        buckets[bucket] = target
        state[ROWS] += 1
    if target != row:
        for item in range(values.shape[1]):
            values[target, item] = values[row, item]
    set_items(items, target, op, moved, state, hashed)


@code.inner
def put_deleted(data, row, key, values, items, buckets, state):  # type: ignore[no-untyped-def]
    """The same for a deleted row: all but its key is NULL."""
    for column in range(values.shape[1] // 2):
        is_key = False
        for index in range(key.shape[0]):
            is_key |= key[index] == column
        if not is_key:
            values[row, 2 * column], values[row, 2 * column + 1] = 0, NULL
    put(data, row, DELETE, 0, key, values, items, buckets, state)


@code.inner
def copy_row(row, into, values):  # type: ignore[no-untyped-def]
    for item in range(values.shape[1]):
        values[into, item] = values[row, item]


@code.inner
def update(data, old, has_old, is_whole, key, values, items, buckets, state):  # type: ignore[no-untyped-def]
    """`old`: the row with the old values or key; the new one is behind it, at `old + 1`. Two more rows are free there."""
    new, spare = old + 1, old + 2
    op, moved = UPDATE, 0
    if has_old:
        if is_whole:
            fill_kept(new, old, values)
        for index in range(key.shape[0]):
            column = 2 * key[index]
            if values[new, column + 1] == KEPT:
                values[new, column], values[new, column + 1] = values[old, column], values[old, column + 1]
    before = old if has_old else new
    bucket = find_bucket(data, before, hash_of(data, before, key, values), key, values, items, buckets)
    base = np.int64(buckets[bucket])
    if base >= 0:
        moved = items[base, MOVED]
        if items[base, OP] != DELETE:
            fill_kept(new, base, values)
            op = items[base, OP]
    if has_old and not is_same_key(data, old, new, key, values):
        copy_row(new, spare, values)
        put_deleted(data, old, key, values, items, buckets, state)
        put(data, spare, UPDATE, 1, key, values, items, buckets, state)
        return
    put(data, new, op, moved, key, values, items, buckets, state)


@code.exported("void(int32[:, ::1], int64, int32[::1])")
def fill_buckets(items, rows, buckets):  # type: ignore[no-untyped-def]
    """Fills an empty table of buckets."""
    for row in range(rows):
        bucket = np.int64(items[row, HASH]) & (buckets.shape[0] - 1)
        while buckets[bucket] >= 0:
            bucket = (bucket + 1) & (buckets.shape[0] - 1)
        buckets[bucket] = row


@code.inner
def begin(data, at, transactions, state):  # type: ignore[no-untyped-def]
    state[TRANSACTION] += 1
    number = state[TRANSACTION]
    lsn = eight_bytes(data, at + 1)
    transactions[number, 0], transactions[number, 1] = lsn, eight_bytes(data, at + 9)
    transactions[number, 2] = four_bytes(data, at + 17)
    state[COUNTS] = 1 if state[LOWER] <= lsn < state[UPPER] else 0
    state[NEXT_SEQ] = 0


@code.inner
def change(data, at, end, spans, positions, key, values, items, buckets, state):  # type: ignore[no-untyped-def]
    """Applies one change of a row; the rows behind the last one are free for it."""
    kind, row, is_append = data[at], state[ROWS], state[IS_APPEND] == 1
    mark = data[at + 5] if end - at > 5 else 0
    old_end = at + 5
    has_old = kind != 73 and (mark == 75 or mark == 79)  # K, O
    if has_old:
        old_end = read_values(data, at + 6, end, state[COLUMNS], spans)
        if old_end < 0:
            return MALFORMED
        arrange(spans, positions, row, values)
        if not is_append and mark == 75 and state[HAS_KEY] == 0:
            return NO_KEY
    elif kind == 68:
        return MALFORMED
    if kind != 68:
        if old_end >= end or read_values(data, old_end + 1, end, state[COLUMNS], spans) < 0:
            return MALFORMED
        arrange(spans, positions, row if is_append or kind == 73 else row + 1, values)
    if is_append:
        set_items(items, row, INSERT if kind == 73 else DELETE if kind == 68 else UPDATE, 0, state, 0)
        state[ROWS] += 1
    elif kind == 73:
        put(data, row, INSERT, 0, key, values, items, buckets, state)
    elif kind == 68:
        put_deleted(data, row, key, values, items, buckets, state)
    else:
        update(data, row, has_old, mark == 79, key, values, items, buckets, state)
    return DONE


@code.inner
def truncate(values, items, buckets, state):  # type: ignore[no-untyped-def]
    if state[IS_APPEND] == 1:
        row = state[ROWS]
        for column in range(values.shape[1] // 2):
            values[row, 2 * column], values[row, 2 * column + 1] = 0, NULL
        set_items(items, row, TRUNCATE, 0, state, 0)
        state[ROWS] += 1
        return
    state[ROWS] = 0
    state[TRUNCATED], state[TRUNCATED_AT] = state[TRANSACTION], state[NEXT_SEQ]
    for bucket in range(buckets.shape[0]):
        buckets[bucket] = -1


@code.exported(
    "int64(uint8[::1], int64[::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int32[:, ::1], int32[:, ::1], int32[::1])"
)
def apply_messages(data, state, transactions, spans, positions, key, values, items, buckets):  # type: ignore[no-untyped-def]
    """Until the end of the sequence, or a message that others must read first."""
    while state[AT] < data.shape[0]:
        at = state[AT] + 4
        if at > data.shape[0]:
            return MALFORMED
        end = at + four_bytes(data, state[AT])
        if end > data.shape[0] or end == at:
            return MALFORMED
        kind = data[at]
        if kind == 82:
            return RELATION
        if kind == 66:
            if end - at != 21:
                return MALFORMED
            if state[TRANSACTION] + 1 == transactions.shape[0]:
                return GROW
            begin(data, at, transactions, state)
        elif state[COUNTS] == 1:
            if state[ROWS] + 3 >= values.shape[0] or 2 * (state[ROWS] + 3) > buckets.shape[0]:
                return GROW
            if kind == 84:
                truncate(values, items, buckets, state)
            else:
                result = change(data, at, end, spans, positions, key, values, items, buckets, state)
                if result != DONE:
                    return result
                state[CHANGES] += 1
            state[NEXT_SEQ] += 1
        state[AT] = end
    return DONE


@code.exported("void(uint8[::1], int32[:, ::1], int64[::1], int64, int32[::1], uint8[::1])")
def gather(data, values, rows, column, offsets, out):  # type: ignore[no-untyped-def]
    """The texts of one column of some rows, one behind the other."""
    filled = np.int64(0)
    for index in range(rows.shape[0]):
        row = rows[index]
        begin = np.int64(values[row, 2 * column])
        length = np.int64(values[row, 2 * column + 1])
        offsets[index] = filled
        for octet in range(length):
            out[filled + octet] = data[begin + octet]
        if length > 0:
            filled += length
    offsets[rows.shape[0]] = filled
