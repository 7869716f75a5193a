"""Parses a column's values as a MySQL server writes them, as text and in binary form, in machine code.

Each function returns 1, or 0 where a value is written in another way, or is too large for the form that is made here: another conversion
decides on it then. `valid` has the validity bits of a column with NULLs, as zeros; else it is empty.
"""

import numpy as np

from ingest_ray.machine_code.functions import MachineCode

ZERO, NINE, MINUS, POINT, COLON, BLANK = 48, 57, 45, 46, 58, 32
LEAST_TENTH = -922_337_203_685_477_580  # a tenth of the least int64

code = MachineCode(__name__)


@code.inner
def digits_at(wire, at, count):  # type: ignore[no-untyped-def]
    """The number that `count` digits make; -1 where they are not all digits."""
    number, first = np.int64(0), np.uint64(at)
    for index in range(np.uint64(count)):
        digit = np.int64(wire[first + index]) - ZERO
        if digit < 0 or digit > 9:
            return np.int64(-1)
        number = number * 10 + digit
    return number


@code.inner
def days_of(year, month, day):  # type: ignore[no-untyped-def]
    """The days from 1970-01-01 to a day of the years 1 to 9999; -1,000,000 where it is none.

    Years begin in March here, so that the day that only leap years have is their last
    (https://howardhinnant.github.io/date_algorithms.html, `days_from_civil`).
    """
    if year < 1 or year > 9999 or month < 1 or month > 12 or day < 1:
        return np.int64(-1_000_000)
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 31 if month in (1, 3, 5, 7, 8, 10, 12) else 30
    if month == 2:
        longest = 29 if is_leap else 28
    if day > longest:
        return np.int64(-1_000_000)
    if month <= 2:
        year -= 1
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@code.inner
def days_at(wire, at):  # type: ignore[no-untyped-def]
    """The days from 1970-01-01 to a date of ten characters in the years 1 to 9999; -1,000,000 where it is none."""
    if wire[at + 4] != MINUS or wire[at + 7] != MINUS:
        return np.int64(-1_000_000)
    return days_of(digits_at(wire, at, 4), digits_at(wire, at + 5, 2), digits_at(wire, at + 8, 2))


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, int64, int64[::1], uint8[::1])")
def parse_whole_numbers(wire, starts, lengths, least, most, values, valid):  # type: ignore[no-untyped-def]
    for row in range(lengths.size):
        length = np.int64(lengths[row])
        if length < 0:
            values[row] = 0
            continue
        at = starts[row]
        is_negative = length > 0 and wire[at] == MINUS
        first = 1 if is_negative else 0
        if length == first:
            return 0
        number = np.int64(0)  # never positive: the least int64 has no counterpart
        for index in range(np.uint64(at + first), np.uint64(at + length)):
            digit = np.int64(wire[index]) - ZERO
            if digit < 0 or digit > 9 or number < LEAST_TENTH or (number == LEAST_TENTH and digit > 7 + is_negative):
                return 0
            number = number * 10 - digit
        if not is_negative:
            number = -number
        if number < least or number > most:
            return 0
        values[row] = number
        if valid.size:
            valid[row >> 3] |= 1 << (row & 7)
    return 1


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, int64, int64[:, ::1], uint8[::1])")
def parse_decimals(wire, starts, lengths, scale, limit, values, valid):  # type: ignore[no-untyped-def]
    """`values`: the low and the high word of each number in units of `10 ** -scale`, of which the server writes every digit; `limit`,
    at most `10 ** 18`, is the least number that is too large."""
    for row in range(lengths.size):
        length = np.int64(lengths[row])
        values[row, 0] = values[row, 1] = 0
        if length < 0:
            continue
        at = starts[row]
        is_negative = length > 0 and wire[at] == MINUS
        first = 1 if is_negative else 0
        point = length - scale - 1 if scale else length
        if point <= first or (scale and wire[at + point] != POINT):
            return 0
        number = np.int64(0)
        for index in range(np.uint64(at + first), np.uint64(at + length)):
            if index == np.uint64(at + point):
                continue
            digit = np.int64(wire[index]) - ZERO
            if digit < 0 or digit > 9:
                return 0
            number = number * 10 + digit
            if number >= limit:
                return 0
        values[row, 0] = -number if is_negative else number
        values[row, 1] = -1 if is_negative and number else 0
        if valid.size:
            valid[row >> 3] |= 1 << (row & 7)
    return 1


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int32[::1], uint8[::1])")
def parse_dates(wire, starts, lengths, values, valid):  # type: ignore[no-untyped-def]
    """Days from 1970-01-01."""
    for row in range(lengths.size):
        if lengths[row] == 10:
            days = days_at(wire, starts[row])
            if days == -1_000_000:
                return 0
            values[row] = days
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        elif lengths[row] == -1:
            values[row] = 0
        else:
            return 0
    return 1


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64[::1], uint8[::1])")
def parse_moments(wire, starts, lengths, values, valid):  # type: ignore[no-untyped-def]
    """Microseconds from 1970-01-01, of a date, a time of day and at most six digits of a second's fraction."""
    for row in range(lengths.size):
        length = np.int64(lengths[row])
        if length == -1:
            values[row] = 0
            continue
        if length < 19 or length == 20 or length > 26:
            return 0
        at = starts[row]
        days = days_at(wire, at)
        hour, minute, second = digits_at(wire, at + 11, 2), digits_at(wire, at + 14, 2), digits_at(wire, at + 17, 2)
        if days == -1_000_000 or wire[at + 10] != BLANK or wire[at + 13] != COLON or wire[at + 16] != COLON:
            return 0
        if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
            return 0
        fraction = np.int64(0)
        if length > 19:
            fraction = digits_at(wire, at + 20, length - 20)
            if wire[at + 19] != POINT or fraction < 0:
                return 0
            for _ in range(26 - length):
                fraction *= 10
        values[row] = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + fraction
        if valid.size:
            valid[row >> 3] |= 1 << (row & 7)
    return 1


@code.inner
def short_at(wire, at):  # type: ignore[no-untyped-def]
    """Two bytes, the lowest first."""
    first = np.uint64(at)
    return np.int64(wire[first]) | np.int64(wire[first + np.uint64(1)]) << 8


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64, uint8[::1], uint8[::1])")
def gather_fixed(wire, starts, lengths, width, values, valid):  # type: ignore[no-untyped-def]
    """Values of `width` bytes, the lowest first, behind each other; zeros for NULL."""
    for row in range(lengths.size):
        into, source = np.uint64(row * width), np.uint64(starts[row])
        if lengths[row] < 0:
            for index in range(np.uint64(width)):
                values[into + index] = 0
            continue
        if width == 8:
            for index in range(np.uint64(8)):
                values[into + index] = wire[source + index]
        elif width == 4:
            for index in range(np.uint64(4)):
                values[into + index] = wire[source + index]
        else:
            for index in range(np.uint64(width)):
                values[into + index] = wire[source + index]
        if valid.size:
            valid[row >> 3] |= 1 << (row & 7)
    return 1


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int32[::1], uint8[::1])")
def read_dates(wire, starts, lengths, values, valid):  # type: ignore[no-untyped-def]
    """Days from 1970-01-01, of a year of two bytes, a month and a day; a date of no bytes has none of them."""
    for row in range(lengths.size):
        if lengths[row] == 4:
            at = starts[row]
            days = days_of(short_at(wire, at), np.int64(wire[at + 2]), np.int64(wire[at + 3]))
            if days == -1_000_000:
                return 0
            values[row] = days
            if valid.size:
                valid[row >> 3] |= 1 << (row & 7)
        elif lengths[row] == -1:
            values[row] = 0
        else:
            return 0
    return 1


@code.exported("int64(uint8[::1], int64[::1], int32[::1], int64[::1], uint8[::1])")
def read_moments(wire, starts, lengths, values, valid):  # type: ignore[no-untyped-def]
    """Microseconds from 1970-01-01, of a date and, unless they are 0, hour, minute and second and a number of microseconds."""
    for row in range(lengths.size):
        length = np.int64(lengths[row])
        if length == -1:
            values[row] = 0
            continue
        if length != 4 and length != 7 and length != 11:
            return 0
        at = starts[row]
        days = days_of(short_at(wire, at), np.int64(wire[at + 2]), np.int64(wire[at + 3]))
        seconds, micros = np.int64(0), np.int64(0)
        if length > 4:
            hour, minute, second = np.int64(wire[at + 4]), np.int64(wire[at + 5]), np.int64(wire[at + 6])
            if hour > 23 or minute > 59 or second > 59:
                return 0
            seconds = (hour * 60 + minute) * 60 + second
        if length == 11:
            micros = short_at(wire, at + 7) | short_at(wire, at + 9) << 16
        if days == -1_000_000 or micros > 999_999:
            return 0
        values[row] = (days * 86_400 + seconds) * 1_000_000 + micros
        if valid.size:
            valid[row >> 3] |= 1 << (row & 7)
    return 1
