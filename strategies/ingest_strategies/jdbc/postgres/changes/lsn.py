"""Positions in the log: 64 bits, as text `0/17184A8`. https://www.postgresql.org/docs/current/datatype-pg-lsn.html"""

from ingest_ray.sdk.types import Position


def lsn_number(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


def lsn_text(number: int) -> str:
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def position_of(number: int) -> Position:
    """In one spelling: positions are compared for equality."""
    return (lsn_text(number),)


def number_of(position: Position) -> int:
    """Raises `ValueError` for a position of another kind."""
    (text,) = position
    return lsn_number(str(text))
