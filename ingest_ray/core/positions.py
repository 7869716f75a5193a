"""Positions for people: watermarks and bounds as reports show them."""

from pydantic import JsonValue

from ingest_ray.sdk.types import Position

MAX_PART_CHARS = 48  # a summary names every segment, and must stay small


def display_value(position: Position | None) -> JsonValue:
    """The value itself of a position with one part, else a list of its parts. Long texts are cut."""
    if position is None:
        return None
    parts = [part if len(str(part)) <= MAX_PART_CHARS else f"{str(part)[:MAX_PART_CHARS]}…" for part in position]
    return parts[0] if len(parts) == 1 else list(parts)
