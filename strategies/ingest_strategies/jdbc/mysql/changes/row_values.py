"""Values of rows in the binary log, as the texts that a SELECT of the same value answers.

The forms are those of MySQL 5.6 and MariaDB 10 (https://mariadb.com/kb/en/rows_event_v1/,
https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html). A decoder takes the row's bytes and where the value begins, and
returns the value and where it ends.
"""

import zlib
from collections.abc import Callable, Sequence
from struct import Struct

from ingest_ray.sdk.errors import SourceError

Decode = Callable[[bytes, int], tuple[bytes, int]]
Convert = Callable[[bytes], bytes]

(
    DECIMAL_OLD,
    TINY,
    SHORT,
    LONG,
    FLOAT,
    DOUBLE,
    NULL_TYPE,
    TIMESTAMP_OLD,
    LONGLONG,
    INT24,
    DATE,
    TIME_OLD,
    DATETIME_OLD,
    YEAR,
) = range(14)
NEWDATE, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = 14, 15, 16, 17, 18, 19
BLOB_COMPRESSED, VARCHAR_COMPRESSED = 140, 141
JSON, NEWDECIMAL, ENUM, SET, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING, GEOMETRY = range(245, 256)

_INT_BYTES = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8}
_FLOAT, _DOUBLE = Struct("<f"), Struct("<d")
_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)  # of so many decimal digits


def int_decoder(kind: int, is_unsigned: bool) -> Decode:
    size = _INT_BYTES[kind]

    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        end = at + size
        return b"%d" % int.from_bytes(data[at:end], "little", signed=not is_unsigned), end

    return decode


def float_decoder(kind: int) -> Decode:
    form = _FLOAT if kind == FLOAT else _DOUBLE

    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        return repr(form.unpack_from(data, at)[0]).encode(), at + form.size

    return decode


def decimal_decoder(precision: int, scale: int) -> Decode:
    """Groups of nine digits, most significant first; the first bit is the sign, and negative numbers have all bits turned."""
    whole = precision - scale
    first, last = whole % 9, scale % 9
    parts = [(_DIGIT_BYTES[first], first)] if first else []
    parts += [(4, 9)] * (whole // 9 + scale // 9)
    parts += [(_DIGIT_BYTES[last], last)] if last else []
    size = sum(count for count, _ in parts)

    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        raw = bytearray(data[at : at + size])
        is_negative = not raw[0] & 0x80
        raw[0] ^= 0x80
        if is_negative:
            raw = bytearray(byte ^ 0xFF for byte in raw)
        digits, begin = "", 0
        for count, width in parts:
            digits += str(int.from_bytes(raw[begin : begin + count], "big")).rjust(width, "0")
            begin += count
        whole_digits = digits[:whole].lstrip("0") or "0"
        text = f"{'-' if is_negative else ''}{whole_digits}" + (f".{digits[whole:]}" if scale else "")
        return text.encode(), at + size

    return decode


def fraction_bytes(digits: int) -> int:
    return (digits + 1) // 2


def fraction_text(number: int, digits: int) -> str:
    """`number`: of the digits rounded up to an even count, as they are stored."""
    return f".{number:0{2 * fraction_bytes(digits)}d}"[: digits + 1] if digits else ""


def datetime_decoder(digits: int) -> Decode:
    extra = fraction_bytes(digits)

    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        packed, end = int.from_bytes(data[at : at + 5], "big") - 0x8000000000, at + 5 + extra
        months, day = packed >> 22, packed >> 17 & 31
        fraction = fraction_text(int.from_bytes(data[at + 5 : end], "big"), digits)
        return (
            f"{months // 13:04d}-{months % 13:02d}-{day:02d} {packed >> 12 & 31:02d}:{packed >> 6 & 63:02d}:{packed & 63:02d}{fraction}".encode(),
            end,
        )

    return decode


def days_text(days: int) -> str:
    """The date of a number of days since 1970. https://howardhinnant.github.io/date_algorithms.html#civil_from_days"""
    days += 719_468
    era, of_era = divmod(days, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return f"{year + era * 400 + (month <= 2):04d}-{month:02d}-{day:02d}"


def stamp_text(seconds: int, fraction: str = "") -> bytes:
    if not seconds and not fraction.strip(".0"):
        return f"0000-00-00 00:00:00{fraction}".encode()
    days, rest = divmod(seconds, 86_400)
    return f"{days_text(days)} {rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}{fraction}".encode()


def timestamp_decoder(digits: int) -> Decode:
    extra = fraction_bytes(digits)

    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        end = at + 4 + extra
        fraction = fraction_text(int.from_bytes(data[at + 4 : end], "big"), digits)
        return stamp_text(int.from_bytes(data[at : at + 4], "big"), fraction), end

    return decode


def time_decoder(digits: int) -> Decode:
    """Three bytes and those of the fraction are one number, from which half of its range is subtracted."""
    extra = fraction_bytes(digits)
    half = 1 << (8 * (3 + extra) - 1)

    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        end = at + 3 + extra
        packed = int.from_bytes(data[at:end], "big") - half
        sign = "-" if packed < 0 else ""
        clock, fraction = divmod(abs(packed), 1 << 8 * extra)
        return (
            f"{sign}{clock >> 12 & 1023:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}{fraction_text(fraction, digits)}".encode(),
            end,
        )

    return decode


def decode_date(data: bytes, at: int) -> tuple[bytes, int]:
    packed = int.from_bytes(data[at : at + 3], "little")
    return f"{packed >> 9:04d}-{packed >> 5 & 15:02d}-{packed & 31:02d}".encode(), at + 3


def decode_year(data: bytes, at: int) -> tuple[bytes, int]:
    return (b"%d" % (1900 + data[at]) if data[at] else b"0000"), at + 1


def decode_old_timestamp(data: bytes, at: int) -> tuple[bytes, int]:
    return stamp_text(int.from_bytes(data[at : at + 4], "little")), at + 4


def decode_old_datetime(data: bytes, at: int) -> tuple[bytes, int]:
    digits = f"{int.from_bytes(data[at : at + 8], 'little'):014d}"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:]}".encode(), at + 8


def decode_old_time(data: bytes, at: int) -> tuple[bytes, int]:
    number = int.from_bytes(data[at : at + 3], "little", signed=True)
    clock = abs(number)
    return (
        f"{'-' if number < 0 else ''}{clock // 10_000:02d}:{clock // 100 % 100:02d}:{clock % 100:02d}".encode(),
        at + 3,
    )


def bit_decoder(size: int) -> Decode:
    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        return b"%d" % int.from_bytes(data[at : at + size], "big"), at + size

    return decode


def text_decoder(length_bytes: int, convert: Convert | None, inflates: bool = False) -> Decode:
    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        begin = at + length_bytes
        end = begin + int.from_bytes(data[at:begin], "little")
        value = inflated(data[begin:end]) if inflates else data[begin:end]
        return (value if convert is None else convert(value)), end

    return decode


def inflated(value: bytes) -> bytes:
    """A value of a COMPRESSED column of MariaDB: a byte (0: as it is; else the method, and how many bytes the length has), and the rest.

    https://mariadb.com/kb/en/storage-engine-independent-column-compression/
    """
    if not value or not value[0]:
        return value[1:]
    if value[0] >> 4 != 8:  # zlib
        raise SourceError(f"a compressed value of method {value[0] >> 4}")
    return zlib.decompress(value[1 + (value[0] & 7) :], wbits=-15 if value[0] & 8 else 15)


def padded(length: int) -> Convert:
    """BINARY(n) is stored without zeros at its end."""
    return lambda value: value.ljust(length, b"\0")


def enum_decoder(size: int, names: Sequence[bytes]) -> Decode:
    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        number = int.from_bytes(data[at : at + size], "little")
        return (names[number - 1] if number else b""), at + size

    return decode


def set_decoder(size: int, names: Sequence[bytes]) -> Decode:
    def decode(data: bytes, at: int) -> tuple[bytes, int]:
        bits = int.from_bytes(data[at : at + size], "little")
        return b",".join(name for index, name in enumerate(names) if bits >> index & 1), at + size

    return decode
