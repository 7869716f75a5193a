"""Times as SQLite stores them, which has no type for them: text as ISO 8601, or integers that count from 1970 or write digits."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.types import Dataset

FACTORS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
LIMITS = {"seconds": 10**11, "milliseconds": 10**14, "microseconds": 10**17}
"""Integers from here on count a smaller unit: as this one, they would be later than the year 5138."""
CALENDAR = "calendar"
"""The digits of a date, 20240115, or of a time, 20240115093000."""
_WHOLE = r"^-?[0-9]+$"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


@dataclass(frozen=True)
class IntegerTime:
    unit: str
    is_declared: bool
    """By a person, who then means every value; else values that count another unit are refused."""


def unit_of(dataset: Dataset, name: str, declared: str | None) -> IntegerTime:
    if declared is not None:
        return IntegerTime(declared, is_declared=True)
    sampled = dataset.facts.get("integer_time")
    return IntegerTime(str(sampled.get(name, "seconds")) if isinstance(sampled, dict) else "seconds", is_declared=False)


def sampled_unit(lowest: int, highest: int, *, is_calendar: bool) -> str:
    """The unit that a sample of a column's integers shows, by their size."""
    if is_calendar:
        return CALENDAR
    greatest = max(abs(lowest), abs(highest))
    return next((unit for unit, limit in LIMITS.items() if greatest < limit), "microseconds")


def calendar_test(value: str) -> str:
    """An SQL expression: 1 where an integer writes the digits of a date, or of a date and a time."""

    def is_date(day: str) -> str:
        return f"{day} BETWEEN 19000101 AND 21001231 AND {day} / 100 % 100 BETWEEN 1 AND 12 AND {day} % 100 BETWEEN 1 AND 31"

    time = f"{value} / 10000 % 100 < 24 AND {value} / 100 % 100 < 60 AND {value} % 100 < 60"
    return f"(({is_date(value)}) OR ({is_date(f'({value} / 1000000)')} AND {time}))"


def times_of(array: pa.Array, integers: IntegerTime) -> pa.Array:
    """Times as text to microseconds: whole numbers, ISO 8601 without a zone, and with one as UTC.

    Raises:
        ValueError: a text is none of them, or a number counts another unit.
    """
    is_number = pc.match_substring_regex(array, _WHOLE)
    has_zone = pc.and_not(pc.match_substring_regex(array, _ZONE), pc.match_substring_regex(array, _DATE))
    nothing = pa.scalar(None, pa.string())
    plain = pc.if_else(pc.or_(is_number, has_zone), nothing, array)
    times = plain.cast(pa.timestamp("us"))
    if pc.any(is_number).as_py():
        times = pc.coalesce(times, times_of_numbers(pc.if_else(is_number, array, nothing), integers))
    if pc.any(has_zone).as_py():
        zoned = pc.if_else(has_zone, array, nothing).cast(pa.timestamp("us", "UTC"))
        times = pc.coalesce(times, zoned.cast(pa.timestamp("us")))
    return times


def times_of_numbers(digits: pa.Array, integers: IntegerTime) -> pa.Array:
    if integers.unit == CALENDAR:
        dates = pc.replace_substring_regex(digits, r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3")
        form = r"^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})$"
        return pc.replace_substring_regex(dates, form, r"\1-\2-\3 \4:\5:\6").cast(pa.timestamp("us"))
    numbers = digits.cast(pa.int64())
    limit = LIMITS[integers.unit]
    if not integers.is_declared and pc.any(pc.greater_equal(pc.abs_checked(numbers), limit)).as_py():
        raise ValueError(f"a number that does not count {integers.unit}")
    return pc.multiply_checked(numbers, pa.scalar(FACTORS[integers.unit], pa.int64())).cast(pa.timestamp("us"))


def dates_of(moments: pa.Array) -> pa.Array:
    """Raises where there is a time of day, which a date cannot hold."""
    dates = moments.cast(pa.date32())
    if pc.any(pc.not_equal(dates.cast(pa.timestamp("us")), moments)).as_py():
        raise ValueError("a date with a time of day")
    return dates


def times_of_day(array: pa.Array, target: pa.DataType) -> pa.Array:
    """`HH:MM`, with seconds and a fraction or without. Arrow reads a time of day only as part of a timestamp."""
    return pc.binary_join_element_wise("1970-01-01", array, "T").cast(pa.timestamp("us")).cast(target)
