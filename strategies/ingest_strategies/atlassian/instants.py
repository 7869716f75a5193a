"""Instants as the APIs write them."""

from datetime import UTC, datetime

from ingest_ray.http.errors import BrokenAnswer


def instant(text: str) -> datetime:
    """`2026-09-18T10:11:12.345+0900`, with or without a colon in the offset -> UTC. Raises ValueError."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"'{text}' is outside the years 1 to 9999 in UTC") from None


def instant_ms(text: str | None) -> int:
    """Raises `BrokenAnswer` for a text that is no instant."""
    try:
        return round(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BrokenAnswer(f"'{text}' is no instant") from None


def instant_ms_or(text: str | None, otherwise: int) -> int:
    """For instants that only help to decide."""
    try:
        return instant_ms(text)
    except BrokenAnswer:
        return otherwise


def instant_of_ms(ms: int) -> datetime:
    """Raises ValueError."""
    seconds, rest = divmod(ms, 1000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=1000 * rest)
    except (OverflowError, OSError):
        raise ValueError(f"{ms} ms is outside the years 1 to 9999") from None
