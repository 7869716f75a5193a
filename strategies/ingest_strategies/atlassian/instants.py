"""Instants as the APIs write them."""

from datetime import UTC, datetime


def instant(text: str) -> datetime:
    """`2026-09-18T10:11:12.345+0900`, with or without a colon in the offset -> UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def instant_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def instant_of_ms(ms: int) -> datetime:
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=1000 * rest)
