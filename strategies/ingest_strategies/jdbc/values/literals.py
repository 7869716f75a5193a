"""Checks of text before it becomes part of a literal of an axis."""

import re

from ingest_ray.sdk.errors import ConfigError
from ingest_strategies.jdbc.dialect import AxisColumn

_UTC = re.compile(r"(Z|\+00:?00)\Z")


def require_form(column: AxisColumn, value: str, form: re.Pattern[str]) -> str:
    """The value, where it has this form. Raises `ConfigError` otherwise."""
    if not form.match(value):
        raise ConfigError(f"cursor '{column.name}': '{value[:40]}' is no {column.kind}")
    return value


def require_utc_time(column: AxisColumn, value: str, form: re.Pattern[str]) -> str:
    """The value without its zone, which is UTC where it has one. Raises `ConfigError` where it has not this form."""
    return _UTC.sub("", require_form(column, value, form))
