"""What a caller of the service may do with secrets that it does not know: refer to permitted ones, and keep them at the same address.

The owner of `ingest.yaml` is not restricted by any of this.
"""

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, JsonValue

from ingest_ray.catalog.endpoints import Registration
from ingest_ray.connections.login import LoginConfig
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets import is_reference
from ingest_ray.secrets.addresses import addresses_of
from ingest_ray.secrets.fields import Path as FieldPath
from ingest_ray.secrets.fields import map_secrets, members, spelled
from ingest_ray.secrets.sealing import SECRET
from ingest_ray.service.endpoints.templates import descriptor_of
from ingest_ray.service.installation import Installation


def check_sources(installation: Installation, template: str, given: Mapping[str, JsonValue]) -> None:
    """Nothing is read before this. Raises `ConfigError` for a reference that `serve.secret_sources` does not permit, and for
    ciphertext, which may be that of another endpoint."""
    for path in _sealed_paths(dict(given), ()):
        raise ConfigError(
            f"config.{spelled(path)}: '{SECRET}' is how secrets are stored; it cannot be given", hint="give the secret"
        )
    allowed = installation.settings.serve.secret_sources

    def check(path: FieldPath, value: JsonValue, _: bool) -> JsonValue:
        if isinstance(value, str) and is_reference(value) and not is_permitted(value, allowed):
            raise ConfigError(
                f"config.{spelled(path)}: the reference '{value}' is not permitted here",
                hint="serve.secret_sources lists what callers of the service may refer to; or give the secret itself",
            )
        return value

    _, descriptor = descriptor_of(template)
    map_secrets(descriptor.config_model, given, check)
    for name, kind in _logins(descriptor.config_model, given):
        if not is_permitted(f"login:{kind}", allowed):
            raise ConfigError(
                f"config.{name}: a login of kind '{kind}' is not permitted here",
                hint="it sends passwords that are made with this machine's own login: serve.secret_sources permits 'login:"
                f"{kind}'",
            )


def is_permitted(reference: str, allowed: tuple[str, ...]) -> bool:
    """True where an entry, whose `*` stands for any characters, matches. Files count by their real path: without `..` and links."""
    scheme, _, name = reference.partition(":")
    return any(
        fnmatchcase(_real_path(name) if kind == "file" else name, _real_pattern(pattern) if kind == "file" else pattern)
        for kind, _, pattern in (entry.partition(":") for entry in allowed)
        if kind == scheme
    )


def check_secrets_are_given(
    installation: Installation, entry: Registration, given: Mapping[str, JsonValue], merged: Mapping[str, JsonValue]
) -> None:
    """Raises `ConfigError` where the stored secrets of an endpoint would be sent to another address than before."""
    role_and_descriptor = descriptor_of(entry.endpoint.template)
    model, more = role_and_descriptor[1].config_model, role_and_descriptor[1].address_fields
    before = addresses_of(model, entry.endpoint.config, installation.settings, more)
    after = addresses_of(model, merged, installation.settings, more)
    changed = sorted({spelled(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)})
    has_secret = [*_secret_paths(model, merged), *((name,) for name, _ in _logins(model, merged))]
    kept = [path for path in has_secret if given.get(str(path[0])) is None]
    if changed and kept:
        raise ConfigError(
            f"config.{spelled(kept[0])}: must be given again, because '{changed[0]}' changes: secrets that were given for one address "
            "are not sent to another one",
            hint="give every secret of the endpoint in the same call: " + ", ".join(spelled(path) for path in kept),
        )


def _secret_paths(model: type[BaseModel], config: Mapping[str, JsonValue]) -> list[FieldPath]:
    found: list[FieldPath] = []

    def note(path: FieldPath, value: JsonValue, _: bool) -> JsonValue:
        if value not in (None, ""):
            found.append(path)
        return value

    map_secrets(model, config, note)
    return found


def _logins(model: type[BaseModel], config: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """The fields with a login that makes passwords, and its kind."""
    for name, field in model.model_fields.items():
        value = config.get(field.alias or name)
        if isinstance(value, dict) and any(
            isinstance(kind, type) and issubclass(kind, LoginConfig) for kind in members(field.annotation)
        ):
            yield field.alias or name, str(value.get("kind"))


def _sealed_paths(value: JsonValue, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, dict):
        if SECRET in value:
            yield path
        for name, item in value.items():
            yield from _sealed_paths(item, (*path, name))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from _sealed_paths(item, (*path, n))


def _real_path(name: str) -> str:
    return os.path.realpath(Path(name.removeprefix("//") if name.startswith("///") else name).expanduser())


def _real_pattern(pattern: str) -> str:
    """The pattern with the links of the folders before its first `*` followed."""
    parts = Path(pattern).expanduser().parts
    fixed = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return str(Path(os.path.realpath(Path(*parts[:fixed])), *parts[fixed:]))
