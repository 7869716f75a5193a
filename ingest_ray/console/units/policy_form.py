"""The fields of a policy as a form: each has a help text, and an empty one has its default."""

import json
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from nicegui import ui
from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo

from ingest_ray.console.elements import readable, text_of
from ingest_ray.console.units.policy_help import GROUPS, HELP, TITLES
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types.unit import Policy, parse_lookback

OF_COLUMNS = ("cursor", "cursors", "primary_key", "columns", "exclude_columns")
_SIZES = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))

Read = Callable[[], JsonValue]


class PolicyForm:
    """`document` is the policy as ingest.yaml would have it: only what differs from the defaults."""

    def __init__(self, policy: Mapping[str, JsonValue], columns: Sequence[str]) -> None:
        self._columns = {name: readable(name) for name in columns}
        self._fields: dict[str, Read] = {}
        known = Policy.model_fields
        placed = {name for names in GROUPS.values() for name in names}
        groups = {**GROUPS, "Others": [name for name in known if name not in placed]}
        for title, names in groups.items():
            shown = [name for name in names if name in known]
            is_used = any(name in policy for name in shown)
            if not shown:
                continue
            with ui.expansion(title, value=title == "Reading" or is_used).classes("w-full group"):
                for name in shown:
                    self._fields[name] = self._make(name, known[name], policy.get(name))

    def document(self) -> dict[str, JsonValue]:
        """Raises `ConfigError` for a text that cannot be read."""
        found = {name: read() for name, read in self._fields.items()}
        return {name: value for name, value in found.items() if value not in (None, "", [], {})}

    def _make(self, name: str, field: FieldInfo, value: JsonValue) -> Read:
        kind, _ = _kind_of(field.annotation)
        default = field.get_default(call_default_factory=True)
        if kind is bool:
            return _switch(name, bool(default), value)
        if choices := _choices_of(kind):
            return self._select(name, {choice: choice for choice in choices}, value, default)
        if name in OF_COLUMNS:
            is_many = name != "cursor"
            return self._select(name, self._columns, value, default, is_many=is_many)
        if kind is dict or get_origin(kind) is dict:
            return _pairs(name, value)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return _text(name, json.dumps(value) if value is not None else None, None, _parse_document)
        return _text(name, value, default, _parsed_as(kind, field))

    def _select(
        self, name: str, shown: Mapping[str, str], value: JsonValue, default: object, *, is_many: bool = False
    ) -> Read:
        chosen = list(value) if isinstance(value, list) else value
        options = {
            **shown,
            **{str(one): readable(str(one)) for one in (chosen if isinstance(chosen, list) else [chosen]) if one},
        }
        made = ui.select(
            options,
            label=_label(name, default),
            value=(chosen or []) if is_many else chosen,
            multiple=is_many,
            clearable=True,
        )
        _helped(made.props("use-chips" if is_many else ""), name)
        return lambda: list(made.value) if is_many else made.value


def _switch(name: str, default: bool, value: JsonValue) -> Read:
    made = ui.switch(_title(name), value=default if value is None else bool(value))
    text_of(HELP.get(name, ""), "p", "soft help")
    return lambda: None if made.value == default else made.value


def _text(name: str, value: JsonValue, default: object, parse: Callable[[str], JsonValue]) -> Read:
    shown = "" if value is None else _span_text(value) if parse is _parse_span else str(value)
    made = ui.input(_label(name, _span_text(default) if parse is _parse_span else default), value=shown)
    _helped(made, name)

    def read() -> JsonValue:
        text = (made.value or "").strip()
        try:
            return parse(text) if text else None
        except ValueError as error:
            raise ConfigError(f"policy.{name}: '{text}': {error}") from None

    return read


def _pairs(name: str, value: JsonValue) -> Read:
    lines = [f"{old}: {'' if new is None else new}" for old, new in value.items()] if isinstance(value, dict) else []
    made = ui.textarea(_label(name, None), value="\n".join(lines)).props("autogrow")
    _helped(made, name)

    def read() -> JsonValue:
        found: dict[str, JsonValue] = {}
        for line in filter(str.strip, (made.value or "").splitlines()):
            old, colon, new = line.rpartition(":")
            if not colon or not old.strip():
                raise ConfigError(f"policy.{name}: '{line}': a line is 'column: value'")
            found[old.strip()] = new.strip() or None
        return found

    return read


def _helped(made: Any, name: str) -> None:
    made.props("outlined dense")
    made.props["hint"] = f"{name}: {HELP.get(name, 'see docs/configuration.md')}"


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("_", " ").capitalize())


def _label(name: str, default: object) -> str:
    title = _title(name)
    if default in (None, "", (), {}):
        return title
    return f"{title} (default: {default.value if isinstance(default, Enum) else default})"


def _kind_of(annotation: Any) -> tuple[Any, bool]:
    """The type without `Annotated` and `None`, and whether None is one of its values."""
    if get_origin(annotation) is Annotated:
        return _kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return (_kind_of(rest[0])[0], True) if len(rest) == 1 else (str, True)
    return annotation, False


def _choices_of(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(str(choice) for choice in get_args(kind))
    return tuple(member.value for member in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()


def _parsed_as(kind: Any, field: FieldInfo) -> Callable[[str], JsonValue]:
    if kind is float:
        return float
    if kind is int:
        return _parse_span if "BeforeValidator" in repr((field.annotation, field.metadata)) else int
    return str


def _parse_span(text: str) -> JsonValue:
    value = parse_lookback(text)
    return value if isinstance(value, int) else None


def _parse_document(text: str) -> JsonValue:
    found: JsonValue = json.loads(text)
    return found


def _span_text(value: object) -> str:
    """`7200` -> `2h`; 0 and what is no number stay."""
    if isinstance(value, int) and value > 0:
        return next(f"{value // size}{unit}" for size, unit in _SIZES if value % size == 0)
    return "" if value is None else str(value)
