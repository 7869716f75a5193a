"""Decides which Arrow type holds every value of another."""

import pyarrow as pa

_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}


def is_wider(wide: pa.DataType, narrow: pa.DataType) -> bool:
    if pa.types.is_signed_integer(wide) and pa.types.is_signed_integer(narrow):
        return bool(wide.bit_width > narrow.bit_width)
    if pa.types.is_floating(wide) and pa.types.is_floating(narrow):
        return bool(wide.bit_width > narrow.bit_width)
    if pa.types.is_decimal(wide) and pa.types.is_signed_integer(narrow):
        return bool(wide.precision - wide.scale >= _DIGITS[narrow.bit_width])
    if pa.types.is_decimal(wide) and pa.types.is_decimal(narrow):
        integers = wide.precision - wide.scale >= narrow.precision - narrow.scale
        return bool(integers and wide.scale >= narrow.scale and wide != narrow)
    return False
