"""Awkward values of every Arrow type that a source may stage; a sink must store them exactly or as declared."""

import datetime as dt
import json
import math
import struct
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.types import Fidelity


@dataclass(frozen=True)
class Sample:
    """Values of one type. `texts` has their text where a sink stores them as text."""

    kind: pa.DataType
    values: tuple[Any, ...]
    texts: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        return str(self.kind)

    def array(self) -> pa.Array:
        if isinstance(self.kind, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(self.kind, pa.array(self.values, self.kind.storage_type))
        return pa.array(self.values, self.kind)


def _integers(kind: pa.DataType) -> Sample:
    bits, is_signed = kind.bit_width, pa.types.is_signed_integer(kind)
    bounds = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return Sample(kind, (*bounds, 0, 1, None))


def _decimals(kind: pa.DataType) -> Sample:
    with localcontext(prec=100):
        unit = Decimal(1).scaleb(-kind.scale)
        largest = (10**kind.precision - 1) * unit
        values = (largest, -largest, unit, 0 * unit, None)
    return Sample(kind, values, tuple(None if value is None else f"{value:f}" for value in values))


_MOMENTS = (
    "0001-01-01 00:00:00",
    "1969-12-31 23:59:59.999999",
    "2024-02-29 12:00:00.000001",
    "9999-12-31 23:59:59.999999",
)


def _timestamps(kind: pa.DataType, whole: bool = False) -> Sample:
    moments = [
        dt.datetime.fromisoformat(text).replace(microsecond=0) if whole else dt.datetime.fromisoformat(text)
        for text in _MOMENTS
    ]
    zone = dt.UTC if kind.tz else None
    return Sample(kind, (*(moment.replace(tzinfo=zone) for moment in moments), None))


SAMPLES = (
    Sample(pa.bool_(), (True, False, None)),
    *map(_integers, [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]),
    Sample(pa.float16(), (0.5, -0.0, math.nan, math.inf, None)),
    Sample(pa.float32(), (0.5, -0.0, math.nan, math.inf, -math.inf, 3.4028234663852886e38, None)),
    Sample(pa.float64(), (0.1, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, None)),
    *map(_decimals, [pa.decimal128(1, 0), pa.decimal128(18, 18), pa.decimal128(38, 9), pa.decimal128(38, 38)]),
    *map(_decimals, [pa.decimal32(5, 2), pa.decimal64(18, 4), pa.decimal128(5, -2), pa.decimal256(38, 2)]),
    *map(_decimals, [pa.decimal256(39, 0), pa.decimal256(76, 30)]),
    Sample(pa.string(), ("", " a ", "é\U0001f600", "NULL", "\\N", "tab\tline\r\n", "quo\"te's", "x" * 70_000, None)),
    Sample(pa.large_string(), ("a", "", None)),
    Sample(pa.string_view(), ("a", "longer than twelve bytes", None)),
    Sample(pa.dictionary(pa.int8(), pa.string()), ("red", "green", None, "red")),
    Sample(pa.binary(), (b"", b"\0", bytes(range(256)), None)),
    Sample(pa.large_binary(), (b"a", None)),
    Sample(pa.binary(3), (b"abc", b"\0\0\0", None)),
    Sample(pa.date32(), (dt.date(1, 1, 1), dt.date(1970, 1, 1), dt.date(9999, 12, 31), None)),
    Sample(pa.date64(), (dt.date(2024, 2, 29), None)),
    Sample(pa.time32("s"), (dt.time(0), dt.time(23, 59, 59), None), ("00:00:00", "23:59:59", None)),
    Sample(
        pa.time64("us"),
        (dt.time(0), dt.time(12, 30, 0, 1), dt.time(23, 59, 59, 999999), None),
        ("00:00:00.000000", "12:30:00.000001", "23:59:59.999999", None),
    ),
    _timestamps(pa.timestamp("us")),
    _timestamps(pa.timestamp("us", "UTC")),
    Sample(pa.timestamp("us", "Europe/Rome"), (dt.datetime(2024, 10, 27, 0, 30, 0, 1, dt.UTC), None)),
    _timestamps(pa.timestamp("s"), whole=True),
    Sample(
        pa.timestamp("ns"),
        (1, -1, None),
        ("1970-01-01 00:00:00.000000001", "1969-12-31 23:59:59.999999999", None),
    ),
    Sample(pa.duration("us"), (dt.timedelta(days=-1, microseconds=1), dt.timedelta(0), None)),
    Sample(
        pa.month_day_nano_interval(),
        (pa.MonthDayNano([1, 2, 3_500_000_000]), pa.MonthDayNano([-14, 0, -1_000]), pa.MonthDayNano([0, 0, 0]), None),
        ("P1M2DT3.5S", "P-14M0DT-0.000001S", "P0M0DT0S", None),
    ),
    Sample(pa.null(), (None, None)),
    Sample(
        pa.uuid(),
        (bytes(range(16)), None),
        ("00010203-0405-0607-0809-0a0b0c0d0e0f", None),
    ),
    Sample(pa.json_(), ('{"a": 12345678901234567890}', "null", None)),
    Sample(pa.list_(pa.int32()), ([], [None], [1, None, -1], None)),
    Sample(pa.list_(pa.list_(pa.string())), ([[]], [None, ["a", None]], [], None)),
    Sample(pa.large_list(pa.uint32()), ([2**32 - 1], [], None)),
    Sample(pa.list_(pa.int16(), 2), ([1, None], None)),
    Sample(pa.list_(pa.decimal128(38, 2)), ([Decimal("1.10"), None], [], None)),
    Sample(
        pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]),
        ({"a": 1, "b": ["x", None]}, {"a": None, "b": None}, {"a": 2, "b": []}, None),
    ),
    Sample(pa.map_(pa.string(), pa.int32()), ([("a", 1), ("b", None)], [], None)),
)


def is_same(found: Any, value: Any, sample: Sample, fidelity: Fidelity) -> bool:
    """Exact: the same value. Widened: the same value, or the text or number that stands for it."""
    if _spell(found) == _spell(value):
        return True
    if pa.types.is_float32(sample.kind) and isinstance(found, float) and isinstance(value, float):
        return struct.pack("f", found) == struct.pack("f", value)  # a reader may print fewer digits
    texts = dict(zip(map(_spell, sample.values), sample.texts, strict=False))
    is_text = value is not None and str(found) == texts.get(_spell(value))
    if isinstance(sample.kind, pa.BaseExtensionType) or sample.kind == pa.timestamp("ns"):
        return is_text  # the usual form of a uuid; and Python has no nanoseconds
    if fidelity is not Fidelity.WIDENED or is_text:
        return fidelity is Fidelity.WIDENED
    if pa.types.is_nested(sample.kind) and isinstance(found, str):
        return bool(json.loads(found) == _in_json(value))
    if isinstance(value, bool):
        return found in (0, 1) and bool(found) == value
    if isinstance(value, dt.timedelta):
        return bool(found == value // dt.timedelta(microseconds=1))
    if isinstance(value, dt.datetime) and isinstance(found, dt.datetime) and value.tzinfo and not found.tzinfo:
        return found.replace(tzinfo=dt.UTC) == value
    if isinstance(value, dt.date | dt.time) and isinstance(found, str):
        return found == _in_text(value, sample.kind)
    return isinstance(value, int) and str(found) == str(value)


def _in_text(value: dt.date | dt.time, kind: pa.DataType) -> str:
    if not isinstance(value, dt.datetime):
        return value.isoformat()
    moment = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    return moment.isoformat(" ", "microseconds")


def _in_json(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    if isinstance(value, list):
        return [_in_json(item) for item in value]
    return f"{value:f}" if isinstance(value, Decimal) else value


def _spell(value: Any) -> str:
    """The text of a value: distinguishes -0.0 from 0.0, and ignores differences of Python's type alone."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_spell, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_spell(item)}' for key, item in value.items())}}}"
    return repr(value)
