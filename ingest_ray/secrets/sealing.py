"""Secrets of endpoints: ciphertext or references at rest, plain values only in the process that uses them.

A secret is a field that the descriptor's config model marks as `SecretStr`, and any URL that has a password in it.
At rest it is a reference (`env:NAME`, `file:/path`, `vault:path#field`) or `{"$secret": ciphertext}`; a URL keeps its visible part beside the
ciphertext, as `{"$secret": ..., "$shown": "postgresql://app:***@db/shop"}`.
"""

from collections.abc import Mapping
from typing import cast

from pydantic import BaseModel, JsonValue

from ingest_ray import logs
from ingest_ray.registry import secret_schemes, sink_family, sink_templates, strategy_for
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint
from ingest_ray.sdk.url_credentials import credentials_of, shown_url
from ingest_ray.secrets.fields import Path as FieldPath
from ingest_ray.secrets.fields import map_secrets, spelled
from ingest_ray.secrets.keyring import Keyring
from ingest_ray.secrets.references import (
    StoreReads,
    check_reference,
    follow_reference,
    is_reference,
    is_stored,
    reads_of,
)
from ingest_ray.settings import Settings

SECRET, SHOWN = "$secret", "$shown"
SEALED = "sealed:"  # before the ciphertext of a URL in the settings


def config_model_of(template: str) -> type[BaseModel]:
    """The config model of a template of sources or of sinks. Raises `StrategyMissing` for an unknown template."""
    family = sink_family(template) if template in sink_templates() else strategy_for(template)
    return family.descriptor.config_model


def seal(
    config: Mapping[str, JsonValue],
    model: type[BaseModel],
    settings: Settings,
    *,
    previous: Mapping[str, JsonValue] | None = None,
    keyring: Keyring | None = None,
) -> dict[str, JsonValue]:
    """The config with sealed secrets, for storage. Keeps the ciphertext of `previous` for an equal secret, so that sealing again
    changes nothing."""
    keys = keyring or Keyring(settings)

    def sealed(path: FieldPath, value: JsonValue, is_url: bool) -> JsonValue:
        if not isinstance(value, str) or is_reference(value):
            return value
        logs.hide(value)
        old = _at(previous or {}, path)
        if isinstance(old, dict) and SECRET in old and keys.opens(str(old[SECRET])) == value:
            return old
        document: dict[str, JsonValue] = {SECRET: keys.seal(value)}
        if is_url:
            for part in credentials_of(value):
                logs.hide(part)
            document[SHOWN] = shown_url(value)
        return document

    return map_secrets(model, config, sealed)


def resolve(endpoint: Endpoint, settings: Settings, *, run_id: str | None = None, asks_stores: bool = True) -> Endpoint:
    """The endpoint with plain secrets; call it only in the process that uses them, right before use.

    `run_id`: what the stores of secrets answered for that run is used again. `asks_stores=False`: references to them stay, and
    only their form is checked.

    Raises:
        ConfigError: names the endpoint, the field, and the variable, file or store that is missing.
        SecretUnavailable: a store did not answer.
    """
    keys, reads = Keyring(settings, creates=False), reads_of(run_id)

    def real(path: FieldPath, value: JsonValue, is_url: bool) -> JsonValue:
        where = f"endpoint '{endpoint.endpoint_id}', field '{spelled(path)}'"
        if not asks_stores and isinstance(value, str) and is_stored(value):
            check_reference(value, where)
            return value
        text = _real(value, where, keys, reads)
        if isinstance(text, str):
            for part in credentials_of(text) if is_url else (text,):
                logs.hide(part)
            return usable_secret(text, where)
        return text

    model = config_model_of(endpoint.template)
    return endpoint.model_copy(update={"config": map_secrets(model, endpoint.config, real)})


def redact(config: Mapping[str, JsonValue], model: type[BaseModel]) -> dict[str, JsonValue]:
    """The config for display: references stay, other secrets become `***`."""

    def hidden(_: FieldPath, value: JsonValue, is_url: bool) -> JsonValue:
        if isinstance(value, dict):
            return value.get(SHOWN, logs.HIDDEN)
        if isinstance(value, str) and is_reference(value):
            return value
        return shown_url(value) if is_url and isinstance(value, str) else logs.HIDDEN

    return map_secrets(model, config, hidden)


def masked(endpoint: Endpoint) -> Endpoint:
    """The endpoint for code that must not connect: its config is valid and contains no secret."""
    return endpoint.model_copy(update={"config": redact(endpoint.config, config_model_of(endpoint.template))})


def follow(reference: str, where: str, settings: Settings) -> str:
    """The secret that a setting refers to.

    Raises:
        ConfigError: names `where`, for a missing one.
        SecretUnavailable: a store did not answer.
    """
    check_setting(reference, where)
    secret = str(_real(reference, where, Keyring(settings, creates=False), reads_of(None)))
    logs.hide(secret)
    return usable_secret(secret, where)


def check_setting(reference: str, where: str) -> None:
    """Makes no request. Raises `ConfigError` for a text that refers to nothing: it may be a secret, and settings hold none."""
    if not is_reference(reference):
        known = ", ".join(f"{scheme}:" for scheme in ("env", "file", *secret_schemes()))
        raise ConfigError(f"{where}: it is no reference to a secret", hint=f"references begin with {known}")
    check_reference(reference, where)


def usable_secret(text: str, where: str) -> str:
    """The secret without white space around it: files and variables often end with a line break.

    Raises:
        ConfigError: it has several lines or control characters, and is neither a PEM block nor a JSON document. The message
            names `where`, never the secret.
    """
    bare = text.strip()
    if bare.isprintable() or bare.startswith(("-----BEGIN ", "{")):
        return bare
    raise ConfigError(
        f"{where}: the secret has several lines or control characters",
        hint="check how the variable, the file or the stored secret was written",
    )


def open_url(text: str, settings: Settings, where: str = "the state URL") -> str:
    """The plain URL of a setting: a reference is resolved, a sealed URL opened. Errors name `where`."""
    value: JsonValue = {SECRET: text.removeprefix(SEALED)} if text.startswith(SEALED) else text
    url = str(_real(value, where, Keyring(settings, creates=False), reads_of(None)))
    for part in credentials_of(url):
        logs.hide(part)
    return url


def seal_url(text: str, settings: Settings, keyring: Keyring | None = None) -> str:
    """The URL for storage in settings: `sealed:...` where it contains a password."""
    secrets = () if text.startswith(SEALED) or is_reference(text) else credentials_of(text)
    if not secrets:
        return text
    for part in secrets:
        logs.hide(part)
    return SEALED + (keyring or Keyring(settings)).seal(text)


def _real(value: JsonValue, where: str, keys: Keyring, reads: StoreReads) -> JsonValue:
    if isinstance(value, dict) and SECRET in value:
        return keys.open(str(value[SECRET]), where)
    if isinstance(value, str) and is_reference(value):
        return follow_reference(value, where, reads)
    return value


def _at(config: JsonValue | Mapping[str, JsonValue], path: FieldPath) -> JsonValue:
    found = cast(JsonValue, config)
    for part in path:
        if isinstance(found, dict) and isinstance(part, str):
            found = found.get(part)
        elif isinstance(found, list) and isinstance(part, int) and part < len(found):
            found = found[part]
        else:
            return None
    return found
