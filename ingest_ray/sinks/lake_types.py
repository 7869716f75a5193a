"""Arrow's types in a lake whose readers know Java's numbers: what Delta and tables of Parquet files have in common.

Neither has unsigned integers, half floats, times of day, durations, intervals, nanoseconds or decimals beyond 38 digits. They differ in the
names of their types, and in the reasons that a certificate gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sinks.type_mapping import (
    TypeMapping,
    instant_note,
    is_bytes,
    is_text,
    map_decimal,
    refused,
    widened,
)

MOST_DIGITS = 38
MICROSECONDS = pa.timestamp("us")
INSTANT = pa.timestamp("us", "UTC")
_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}


@dataclass(frozen=True)
class LakeTypes:
    """`names`: of the types that the lake has, by Arrow's; `decimal`: the name before the digits. The other fields say why a type is
    widened."""

    lake: str
    names: Mapping[pa.DataType, str]
    decimal: str
    unsigned: str
    half_floats: str
    long_decimals: str
    times: str
    nanoseconds: str
    intervals: str

    def map_leaf(self, kind: pa.DataType) -> TypeMapping:
        if kind in _WIDER:
            return self._widened(_WIDER[kind], self.unsigned)
        if kind == pa.float16():
            return self._widened(pa.float32(), self.half_floats)
        if kind == pa.null():
            return self._widened(pa.string(), "a column that is always NULL")
        if isinstance(kind, pa.BaseExtensionType):  # uuid and json
            return TypeMapping(pa.string(), self.names[pa.string()], note=f"{kind.extension_name} as text")
        if is_text(kind):
            return self._same(pa.string())
        if is_bytes(kind):
            return self._same(pa.binary())
        if pa.types.is_date64(kind):
            return self._same(pa.date32())
        if pa.types.is_timestamp(kind):
            return self._timestamp(kind)
        if pa.types.is_decimal(kind):
            return map_decimal(kind, self.decimal, MOST_DIGITS, self._widened(pa.string(), self.long_decimals))
        return self._same(kind) if kind in self.names else self._rare(kind)

    def _rare(self, kind: pa.DataType) -> TypeMapping:
        if pa.types.is_time(kind):
            return self._widened(pa.string(), self.times)
        if pa.types.is_duration(kind):
            return self._widened(pa.int64(), f"{self.lake} has no durations: a number of '{kind.unit}'")
        if pa.types.is_interval(kind):
            return self._widened(pa.string(), self.intervals)
        return refused(kind, f"{self.lake} has no type for '{kind}'")

    def _timestamp(self, kind: pa.DataType) -> TypeMapping:
        if kind.unit == "ns":
            return self._widened(pa.string(), self.nanoseconds)
        if kind.tz is None:
            return self._same(MICROSECONDS)
        return TypeMapping(INSTANT, self.names[INSTANT], note=instant_note(kind))

    def _same(self, arrow: pa.DataType) -> TypeMapping:
        return TypeMapping(arrow, self.names[arrow])

    def _widened(self, arrow: pa.DataType, reason: str) -> TypeMapping:
        name = f"{self.decimal}({arrow.precision},{arrow.scale})" if pa.types.is_decimal(arrow) else self.names[arrow]
        return widened(arrow, name, reason)
