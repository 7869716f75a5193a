"""The fields of a config that decide where an endpoint's secrets are sent, and how they are protected on the way.

A field belongs to them by its name, by the name of a section around it, or by a value with `://`; a template can name more
(`Descriptor.address_fields`).
"""

import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, JsonValue

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets.fields import Path, map_secrets
from ingest_ray.secrets.keyring import Keyring
from ingest_ray.secrets.sealing import SECRET
from ingest_ray.settings import Settings

_ADDRESS = re.compile(
    r"url|uri|dsn|host|server|addr|endpoint|socket|proxy|proxies|tunnel|ssh|bastion|jump|gateway|broker|bootstrap|site|domain|account"
    r"|region|tenant|realm|kdc|issuer|authority|redirect|target|wallet|protocol|scheme|driver|options"  # where
    r"|verify|tls|ssl|cert|trust|encrypt|insecure|(^|_)ca(_|$)"  # how
    r"|(^|_)(ports?|paths?|sites?|node|nodes)(_|$)",
    re.IGNORECASE,
)


def addresses_of(
    model: type[BaseModel], config: Mapping[str, JsonValue], settings: Settings, more: tuple[str, ...] = ()
) -> dict[Path, JsonValue]:
    """The values by their paths: of secret fields none, of URLs with a password the whole URL; a default counts where none is given."""
    secrets: set[Path] = set()
    keys = Keyring(settings, creates=False)

    def opened(path: Path, value: JsonValue, is_url: bool) -> JsonValue:
        if not is_url:
            secrets.add(path)
            return None
        if not (isinstance(value, dict) and SECRET in value):
            return value
        try:
            return keys.open(str(value[SECRET]), "the address")
        except ConfigError:  # of a lost key: no address is equal to it
            return value

    plain = map_secrets(model, config, opened)
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not field.is_required() and isinstance(field.default, str | int | float | bool)
    }
    found = dict(_leaves({**defaults, **plain}, ()))
    return {path: value for path, value in found.items() if path not in secrets and _is_address(path, value, more)}


def _leaves(value: JsonValue, path: Path) -> Iterator[tuple[Path, JsonValue]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            yield from _leaves(item, (*path, n))
    elif value is not None:
        yield path, value


def _is_address(path: Path, value: JsonValue, more: tuple[str, ...]) -> bool:
    names = [part for part in path if isinstance(part, str)]
    if any(name in more or _ADDRESS.search(name) for name in names):
        return True
    return isinstance(value, str) and "://" in value
