"""The values that a sink cannot hold in columns of types that it has, and the search for the rows that have them.

A sink declares its limits with its types. Rows beyond them go to quarantine before the sink gets the others: found by the database,
one such value would cost its table every later row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.contracts import Misfit
from ingest_ray.sdk.errors import RowsRejected
from ingest_ray.sinks.type_mapping import TypeRules, is_text, map_type
from ingest_ray.sinks.value_conversion import convert, convert_batch, steps_per_day

# Days from 1970-01-01 to a first and a last day.
YEARS_1_TO_9999 = (-719_162, 2_932_896)
TEXT_DAYS = (-12_687_428, 11_248_737)  # years -32767 to 32767: Arrow writes others as "<value out of range>"
MICROSECOND_DAYS = (-106_751_990, 106_751_990)  # 64 bits of microseconds
ALL_DAYS = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class ValueLimits:
    """What one sink cannot hold beyond the limits of its types.

    `days`: the first and last day of dates and timestamps, counted from 1970-01-01. `codec`: Python's name of the encoding of text,
    where it has not every character. `has_end_of_day`: it has the time 24:00:00.
    """

    sink: str
    days: tuple[int, int] = ALL_DAYS
    has_nan: bool = True
    has_infinity: bool = True
    has_zero_character: bool = True
    has_end_of_day: bool = True
    codec: str | None = None


def find_misfits(batch: pa.RecordBatch, schema: pa.Schema, limits: ValueLimits) -> dict[int, Misfit]:
    """`schema`: the columns of `batch` by position, in the types to which the sink converts them."""
    found: dict[int, Misfit] = {}
    for column, field in zip(batch.columns, schema, strict=False):
        for row, reason in _misfits(column, field.type, limits).items():
            found.setdefault(row, Misfit(field.name, reason))
    return found


def find_all_misfits(
    batch: pa.RecordBatch, schema: pa.Schema, rules: TypeRules, limits: ValueLimits, *, converts: bool
) -> dict[int, Misfit]:
    """As `MisfitFinder.find_misfits`, for a sink whose limits need no request."""
    wanted = wanted_schema(schema, rules)
    found = find_misfits(batch, wanted, limits)
    return {**find_unconvertible(batch, wanted), **found} if converts else found


@lru_cache(64)
def wanted_schema(schema: pa.Schema, rules: TypeRules) -> pa.Schema:
    """The types to which a sink converts the columns of `schema`. Every batch asks for them."""
    return pa.schema([pa.field(field.name, map_type(field.type, rules).arrow) for field in schema])


def convert_rows(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """As `convert_batch`. Raises `RowsRejected` where a value cannot be converted."""
    try:
        return convert_batch(batch, schema)
    except (pa.ArrowInvalid, ValueError, OverflowError) as error:
        raise RowsRejected(f"a value does not fit its column: {error}") from error


def find_unconvertible(batch: pa.RecordBatch, schema: pa.Schema) -> dict[int, Misfit]:
    """Converts row by row, where a column as a whole cannot be converted."""
    found: dict[int, Misfit] = {}
    for column, field in zip(batch.columns, schema, strict=False):
        if _conversion_error(column, field.type) is None:
            continue
        for row in range(len(column)):
            reason = _conversion_error(column.slice(row, 1), field.type)
            if reason is not None:
                found.setdefault(row, Misfit(field.name, reason))
    return found


def _conversion_error(column: pa.Array, target: pa.DataType) -> str | None:
    try:
        convert(column, target)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return f"cannot be converted from {column.type} to {target}: {error}"
    return None


def _misfits(column: pa.Array, target: pa.DataType, limits: ValueLimits) -> dict[int, str]:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _misfits(column.storage, target, limits)
    if pa.types.is_dictionary(kind):
        return _misfits(column.dictionary_decode(), target, limits)
    if pa.types.is_run_end_encoded(kind):
        return _misfits(pc.run_end_decode(column), target, limits)
    if pa.types.is_nested(kind):
        return _nested_misfits(column, target, limits)
    found: dict[int, str] = {}
    for mask, reason in _leaf_misfits(column, target, limits):
        for row in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
            found.setdefault(row, reason)
    return found


def _nested_misfits(column: pa.Array, target: pa.DataType, limits: ValueLimits) -> dict[int, str]:
    """JSON escapes zero characters and keeps other numbers as text, and Python writes its dates: years 1 to 9999."""
    if pa.types.is_string(target) or isinstance(target, pa.BaseExtensionType):
        limits = replace(
            limits, days=YEARS_1_TO_9999, has_nan=True, has_infinity=True, has_zero_character=True, sink="JSON"
        )
    reasons = [
        reason for part, kind in _parts(column, target) for reason in _misfits(part, kind, limits).values() if reason
    ]
    if not reasons:
        return {}
    if len(column) == 1:
        return {0: reasons[0]}
    rows = ((row, _nested_misfits(column.slice(row, 1), target, limits)) for row in range(len(column)))
    return {row: found[0] for row, found in rows if found}


def _parts(column: pa.Array, target: pa.DataType) -> Iterator[tuple[pa.Array, pa.DataType]]:
    """The values within lists, maps and structs, and the types that they become."""
    kind, is_text_target = column.type, pa.types.is_string(target) or isinstance(target, pa.BaseExtensionType)
    if pa.types.is_struct(kind):
        for index, part in enumerate(column.flatten()):
            yield part, pa.string() if is_text_target else target.field(index).type
    elif pa.types.is_map(kind):
        keys, items = column.view(pa.list_(pa.struct([kind.key_field, kind.item_field]))).flatten().flatten()
        yield keys, pa.string() if is_text_target else target.key_type
        yield items, pa.string() if is_text_target else target.item_type
    elif pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        yield from _parts(column.cast(pa.large_list(kind.value_field)), target)
    else:
        yield column.flatten(), pa.string() if is_text_target else target.value_type


def _leaf_misfits(column: pa.Array, target: pa.DataType, limits: ValueLimits) -> Iterator[tuple[pa.Array, str]]:
    """Masks of rows, each with its reason."""
    kind = column.type
    if is_text(kind):
        yield from _text_misfits(column, limits)
    elif pa.types.is_floating(kind):
        numbers = column.cast(pa.float32()) if pa.types.is_float16(kind) else column
        if not limits.has_nan:
            yield pc.is_nan(numbers), f"is NaN, which {limits.sink} has not"
        if not limits.has_infinity:
            yield pc.is_inf(numbers), f"is infinite, which {limits.sink} has not"
    elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        yield from _beyond(column, _days(kind, target, limits), f"is a day that {limits.sink} has not")
    elif pa.types.is_time(kind):
        is_end_refused = limits.sink == "JSON" or not (limits.has_end_of_day or pa.types.is_string(target))
        yield from _beyond(column, (0, 0 if is_end_refused else 1), "is no time of day")
    elif pa.types.is_decimal(kind) and kind.scale >= 0 and not are_short(column):  # Arrow compares no others
        most = pa.scalar(Decimal((0, (9,) * kind.precision, -kind.scale)), kind)
        least = pa.scalar(Decimal((1, (9,) * kind.precision, -kind.scale)), kind)
        is_beyond = pc.or_(pc.greater(column, most), pc.less(column, least))
        yield is_beyond, f"has more than the {kind.precision} digits of its type"


def _days(kind: pa.DataType, target: pa.DataType, limits: ValueLimits) -> tuple[int, int]:
    ranges = [limits.days]
    if pa.types.is_string(target) and limits.sink != "JSON":
        ranges.append(TEXT_DAYS)
    if pa.types.is_timestamp(kind):
        ranges.append(MICROSECOND_DAYS)
    return max(first for first, _ in ranges), min(last for _, last in ranges)


def _beyond(column: pa.Array, days: tuple[int, int], reason: str) -> Iterator[tuple[pa.Array, str]]:
    """`days`: the first and the last day. Of times of day the last one may be the midnight after it: 24:00:00."""
    kind = column.type
    steps, width = steps_per_day(kind), kind.bit_width
    least, most = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    numbers = column.view(pa.int32() if width == 32 else pa.int64())
    end = days[1] * steps if pa.types.is_time(kind) else (days[1] + 1) * steps - 1
    if pa.types.is_time(kind) and not days[1]:
        end = steps - 1
    first, last = max(least, days[0] * steps), min(most, end)
    # An eighth of what the masks cost, which are rarely needed.
    low, high = (bound.as_py() for bound in pc.min_max(numbers).values())
    if low is None or (first <= low and high <= last):
        return
    masks = pc.less(numbers, pa.scalar(first, numbers.type)), pc.greater(numbers, pa.scalar(last, numbers.type))
    yield pc.or_(*masks), reason


def _text_misfits(column: pa.Array, limits: ValueLimits) -> Iterator[tuple[pa.Array, str]]:
    text = column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column
    has_ascii = is_ascii(text)
    if not has_ascii:
        try:
            text.validate(full=True)
        except pa.ArrowInvalid:
            yield _is_undecodable(text, None), "is no valid UTF-8 text"
    if not limits.has_zero_character:
        yield pc.match_substring(text, "\0"), f"has a zero character, which text of {limits.sink} has not"
    if limits.codec is not None and not has_ascii:
        yield _is_undecodable(text, limits.codec), f"has a character that the encoding of {limits.sink} has not"


def is_ascii(text: pa.Array) -> bool:
    """Whether all bytes of all values are, looked at together: a tenth of what a look at each value costs."""
    _, offsets, data = text.buffers()
    if not len(text) or data is None:
        return True
    width = 8 if pa.types.is_large_string(text.type) else 4
    ends = np.frombuffer(offsets, f"<i{width}", len(text) + 1, text.offset * width)
    begin, end = int(ends[0]), int(ends[-1])
    if not 0 <= begin <= end <= data.size:  # a malformed array: a look at each value finds it
        return False
    return begin == end or bool(np.frombuffer(data, np.uint8, end - begin, begin).max() < 0x80)


def are_short(decimals: pa.Array) -> bool:
    """Whether all numbers, the bytes under NULLs among them, have the digits of their type: at most 18, so that one word has them."""
    kind = decimals.type
    if not pa.types.is_decimal128(kind) or kind.precision > 18 or not len(decimals):
        return False
    words = np.frombuffer(decimals.buffers()[1], "<i8", 2 * len(decimals), 16 * decimals.offset).reshape(-1, 2)
    low, limit = np.ascontiguousarray(words[:, 0]), 10**kind.precision
    return bool(-limit < low.min() and low.max() < limit and np.array_equal(words[:, 1], low >> 63))


def _is_undecodable(text: pa.Array, codec: str | None) -> pa.Array:
    """True where bytes are no UTF-8, or, with `codec`, where they are and cannot be encoded."""
    found = []
    for value in text.cast(pa.large_binary()).to_pylist():
        try:
            decoded = (value or b"").decode()
        except UnicodeDecodeError:
            found.append(codec is None)
            continue
        found.append(codec is not None and not _is_encodable(decoded, codec))
    return pa.array(found, pa.bool_())


def _is_encodable(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
