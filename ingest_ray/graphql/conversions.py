"""Conversions between values of use cases and GraphQL values."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import strawberry
from pydantic import BaseModel
from strawberry.scalars import JSON

from ingest_ray.sdk.errors import ConfigError

MOST_LISTED = 1_000
MOST_NESTED = 50  # levels of a JSON value

T = TypeVar("T")


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


def parse_time(text: str | datetime | None) -> datetime | None:
    if text is None or isinstance(text, datetime):
        return text
    return datetime.fromisoformat(text)


def time_of_epoch(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def json_document(value: BaseModel | Mapping[str, Any] | Sequence[Any] | None) -> JSON | None:
    if isinstance(value, BaseModel):
        return cast(JSON, value.model_dump(mode="json"))
    return cast(JSON, value)


def json_value(value: object) -> JSON | None:
    return None if value is None else JSON(value)


def json_object(value: JSON | None, field: str) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"{field}: a JSON object is expected")
    _check_nesting(value, field)
    return cast("dict[str, Any] | None", value)


def _check_nesting(value: object, field: str) -> None:
    level: list[object] = [value]
    for _ in range(MOST_NESTED):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise ConfigError(f"{field}: nested more than {MOST_NESTED} levels deep")


def checked_count(count: int | None, default: int, field: str = "first") -> int:
    if count is None:
        return default
    if not 1 <= count <= MOST_LISTED:
        raise ConfigError(f"{field}: a number from 1 to {MOST_LISTED} is expected")
    return count


def without_nulls(**values: T | None) -> dict[str, T]:
    return {name: value for name, value in values.items() if value is not None}
