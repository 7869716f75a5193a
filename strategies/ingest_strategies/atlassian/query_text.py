"""What JQL and CQL write alike."""

from collections.abc import Sequence


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def any_of(conditions: Sequence[str]) -> str:
    return " OR ".join(f"({condition})" for condition in conditions)
