"""Decides which Arrow type holds every value of another."""

import pyarrow as pa

_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}


def is_wider(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """True where `wide` holds every value of `narrow`, and is not the same type."""
    if pa.types.is_integer(wide) and pa.types.is_integer(narrow):
        has_sign = pa.types.is_signed_integer(wide) or pa.types.is_unsigned_integer(narrow)
        return bool(has_sign and wide.bit_width > narrow.bit_width)
    if pa.types.is_floating(wide) and pa.types.is_floating(narrow):
        return bool(wide.bit_width > narrow.bit_width)
    if pa.types.is_decimal(wide) and pa.types.is_integer(narrow):
        return bool(wide.precision - wide.scale >= _integer_digits(narrow))
    if pa.types.is_decimal(wide) and pa.types.is_decimal(narrow):
        integers = wide.precision - wide.scale >= narrow.precision - narrow.scale
        return bool(integers and wide.scale >= narrow.scale and wide != narrow)
    return False


def _integer_digits(kind: pa.DataType) -> int:
    return 20 if pa.types.is_uint64(kind) else _DIGITS[kind.bit_width]


def becomes_text(source: pa.DataType, stored: pa.DataType, wanted: pa.DataType) -> bool:
    """True where a sink has stored a number as such, and must keep its wider type, `source`, as text."""
    is_number = pa.types.is_integer(stored) or pa.types.is_decimal(stored)
    is_exact = pa.types.is_integer(source) or pa.types.is_decimal(source)
    return bool(pa.types.is_string(wanted) and is_number and is_exact)


def common_decimal(stored: pa.DataType, wanted: pa.DataType) -> pa.DataType | None:
    """The decimal that holds an integer, whose sink has no shorter type for it, and a decimal that holds the source's integers."""
    if not (pa.types.is_integer(stored) and pa.types.is_decimal(wanted) and wanted.scale >= 0):
        return None
    digits = max(wanted.precision - wanted.scale, _integer_digits(stored)) + wanted.scale
    return pa.decimal128(digits, wanted.scale) if digits <= 38 else pa.decimal256(digits, wanted.scale)


def scale_of(kind: pa.DataType) -> int:
    """The digits after the point."""
    return int(kind.scale) if pa.types.is_decimal(kind) else 0
