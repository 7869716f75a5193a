"""The template of a table's name: text with `{endpoint}`, `{schema}`, `{table}` and `{unit}`."""

import re
from collections.abc import Mapping

PLACEHOLDERS = ("endpoint", "schema", "table", "unit")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def check_template(template: str) -> None:
    """Raises `ValueError` for an unknown placeholder, a brace that is none, and a name that cannot be a path."""
    for name in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            raise ValueError(f"unknown placeholder '{{{name}}}'; there is: {', '.join(PLACEHOLDERS)}")
    if set(_PLACEHOLDER.sub("", template)) & set("{}"):
        raise ValueError("a brace that belongs to no placeholder")
    if any(part.strip() in ("", ".", "..") for part in template.split("/")):
        raise ValueError("an empty name")


def filled(template: str, values: Mapping[str, str]) -> str:
    """Raises `ValueError` for a placeholder that has no value here."""

    def value_of(match: re.Match[str]) -> str:
        value = values.get(match.group(1), "")
        if not value:
            raise ValueError(f"there is no {match.group(1)} for '{match.group(0)}'")
        return value.replace("/", "_")

    return _PLACEHOLDER.sub(value_of, template)
