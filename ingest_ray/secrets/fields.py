"""Finds the secrets of a config: the `SecretStr` fields of its model, and URLs with a password."""

import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue, SecretBytes, SecretStr

from ingest_ray.sdk.url_credentials import credentials_of
from ingest_ray.secrets.references import is_reference

Path = tuple[str | int, ...]
Visit = Callable[[Path, JsonValue, bool], JsonValue]
"""`(path, value, is_url) -> replacement`."""


def map_secrets(model: type[BaseModel], config: Mapping[str, JsonValue], visit: Visit) -> dict[str, JsonValue]:
    """A copy of `config` in which every secret that is set is replaced by `visit`."""
    mapped = _walk([model], dict(config), (), visit)
    assert isinstance(mapped, dict)
    return mapped


def spelled(path: Path) -> str:
    """`('auth', 'tokens', 0)` -> `auth.tokens[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _walk(annotations: list[Any], value: JsonValue, path: Path, visit: Visit) -> JsonValue:
    kinds = [kind for annotation in annotations for kind in members(annotation)]
    if any(kind in (SecretStr, SecretBytes) for kind in kinds) and (isinstance(value, str) or _is_sealed(value)):
        return visit(path, value, False)
    if _is_sealed(value) or (isinstance(value, str) and _is_url(value, path)):
        return visit(path, value, True)
    if isinstance(value, dict):
        return {name: _walk(_field(kinds, name), item, (*path, name), visit) for name, item in value.items()}
    if isinstance(value, list):
        inner = [argument for kind in kinds for argument in get_args(kind) if argument is not Ellipsis]
        return [_walk(inner, item, (*path, n), visit) for n, item in enumerate(value)]
    return value


def _is_sealed(value: JsonValue) -> bool:
    return isinstance(value, dict) and "$secret" in value


def _is_url(value: str, path: Path) -> bool:
    """True for a URL with a password, and for a URL field that holds a reference."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    is_named = name.lower().endswith(("url", "uri", "dsn", "urls", "uris", "dsns"))
    if is_named and is_reference(value) and not value.startswith("file:/"):
        return True
    return bool(credentials_of(value)) and (
        is_named or "://" in value or value.startswith("jdbc:") or ":thin:" in value or "AccountKey=" in value
    )


def members(annotation: Any) -> list[Any]:
    """The alternatives of a type, without `Annotated`, aliases and unions."""
    if hasattr(annotation, "__value__"):  # a `type` statement
        return members(annotation.__value__)
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in members(argument)]
    return [annotation]


def _field(kinds: list[Any], name: str) -> list[Any]:
    """The types of a field over all models and mappings that a value may have."""
    found: list[Any] = []
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for field, described in kind.model_fields.items():
                if name in (field, described.alias, described.validation_alias):
                    found.append(described.annotation)
        elif get_origin(kind) is not None and len(get_args(kind)) == 2:
            found.append(get_args(kind)[1])
    return found
