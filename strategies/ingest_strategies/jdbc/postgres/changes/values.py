"""Values that the log has as texts, in the Arrow types of the table's columns: the same values as the COPY path reads.

The texts are written under the settings of `session.SETTINGS` (ISO dates in UTC, intervals of ISO 8601, hexadecimal bytes), so the text of
a column that is selected as text equals the one in the log.
"""

import re
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from ingest_strategies.jdbc.values.convert import Convert

_STAMP = re.compile(
    r"(?P<year>\d{4,7})-(?P<month>\d\d)-(?P<day>\d\d)(?: (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<part>\d{1,6}))?)?"
    r"(?:\+00)?(?P<bc> BC)?\Z"
)
DAY_US = 86_400_000_000


def text_converter(form: str, money_digits: int = 2) -> Convert:
    """The conversion of a column of texts whose `select` form is this one. Raises `ValueError` for a value without a place in Arrow."""
    return partial(convert_texts, form=form, money_digits=money_digits)


def convert_texts(array: pa.Array, target: pa.DataType, *, form: str, money_digits: int = 2) -> pa.Array:
    if pa.types.is_binary(target):
        return pa.array([None if text is None else unhex(text) for text in array.to_pylist()], target)
    text = array.cast(pa.string())
    if pa.types.is_list(target):
        return convert_lists(text, target, form)
    if form == "money":
        return pa.array([None if value is None else amount(value, money_digits) for value in text.to_pylist()], target)
    return convert_leaf(text, target)


def convert_leaf(text: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_string(target):
        return text
    if pa.types.is_boolean(target):
        return pc.equal(text, "t")
    if pa.types.is_binary(target):
        return pa.array([None if value is None else unhex(value.encode()) for value in text.to_pylist()], target)
    if pa.types.is_timestamp(target):
        return convert_stamps(text, target)
    if pa.types.is_date32(target):
        try:
            return text.cast(target)
        except pa.ArrowInvalid:
            days = [None if value is None else stamp_us(value) // DAY_US for value in text.to_pylist()]
            return pa.array(days, pa.int32()).cast(target)
    if pa.types.is_time(target):
        of_first_day = pc.binary_join_element_wise(pa.scalar("1970-01-01 "), text, pa.scalar(""))
        return of_first_day.cast(pa.timestamp("us")).view(pa.int64()).cast(target)
    return text.cast(target)


def convert_stamps(text: pa.Array, target: pa.DataType) -> pa.Array:
    plain = pa.timestamp("us")
    try:
        if target.tz:
            if pc.all(pc.ends_with(text, "+00")).as_py() is False:
                raise pa.ArrowInvalid("a time of another form")
            return pc.utf8_slice_codeunits(text, 0, stop=-3).cast(plain).cast(target)
        return text.cast(plain)
    except pa.ArrowInvalid:
        values = [None if value is None else stamp_us(value) for value in text.to_pylist()]
        return pa.array(values, pa.int64()).cast(plain).cast(target)


def stamp_us(text: str) -> int:
    """Microseconds since 1970 of a date or time of any year. Raises `ValueError` for infinity."""
    match = _STAMP.match(text)
    if match is None:
        raise ValueError(f"'{text}' is no time that Arrow can hold")
    year = 1 - int(match["year"]) if match["bc"] else int(match["year"])
    seconds = int(match["hour"] or 0) * 3600 + int(match["minute"] or 0) * 60 + int(match["second"] or 0)
    part = int((match["part"] or "").ljust(6, "0"))
    return days_since_1970(year, int(match["month"]), int(match["day"])) * DAY_US + seconds * 1_000_000 + part


def days_since_1970(year: int, month: int, day: int) -> int:
    """Of the proleptic Gregorian calendar. https://howardhinnant.github.io/date_algorithms.html#days_from_civil"""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def unhex(text: bytes) -> bytes:
    if not text.startswith(b"\\x"):
        raise ValueError("bytes that are not written in hexadecimal digits")
    return bytes.fromhex(text[2:].decode())


def amount(text: str, digits: int) -> str:
    """An amount of money as `numeric` writes it, whatever signs lc_monetary puts around it."""
    number = "".join(character for character in text if character.isdigit()).rjust(digits + 1, "0")
    whole, fraction = (number[:-digits], number[-digits:]) if digits else (number, "")
    is_negative = ("-" in text or "(" in text) and number.strip("0") != ""
    return f"{'-' if is_negative else ''}{whole.lstrip('0') or '0'}{'.' if digits else ''}{fraction}"


def convert_lists(text: pa.Array, target: pa.DataType, form: str) -> pa.Array:
    items: list[str | None] = []
    offsets: list[int | None] = []
    for value in text.to_pylist():
        if value is None:
            offsets.append(None)
            continue
        offsets.append(len(items))
        items += parse_array(value)
    offsets.append(len(items))
    values = convert_leaf(pa.array(items, pa.string()), target.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=target)


_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"\\]*(?:\\.[^,{}"\\]*)*)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_array(text: str) -> list[str | None]:
    """The items of an array of one dimension that begins at 1. Raises `ValueError` for another one.

    https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    """
    if text == "{}":
        return []
    if not text.startswith("{") or text.startswith("{{"):
        raise ValueError("an array of several dimensions, or that does not begin at 1")
    items: list[str | None] = []
    at = 1
    while True:
        match = _ITEM.match(text, at)
        assert match is not None
        quoted, plain = match.groups()
        if quoted is not None:
            items.append(_ESCAPE.sub(r"\1", quoted))
        else:
            items.append(None if plain.upper() == "NULL" else _ESCAPE.sub(r"\1", plain))
        at = match.end()
        if text[at : at + 1] != ",":
            return items
        at += 1
