"""The places of an installation, and of its sinks, with their options, whose secrets are references in the settings."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from pydantic import JsonValue

from ingest_ray.registry import sink_family
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable, SinkMissing
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.types import Endpoint
from ingest_ray.sdk.url_credentials import shown_url
from ingest_ray.secrets.references import is_reference
from ingest_ray.secrets.sealing import follow, resolve
from ingest_ray.settings import Settings, StoreAddress

_LOCATION_OPTION = re.compile(r"(^|[._])(endpoint(_url)?|account(_name)?|project(_id)?|uri)$", re.IGNORECASE)
_DEFAULTS = {"schema": "public"}
_SAME_SCHEMES = {"s3a": "s3", "postgres": "postgresql", "mariadb": "mysql", "abfss": "abfs", "adl": "az", "azure": "az"}
_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "https": 443, "http": 80}
_LOCATION_PARAMETERS = ("host", "port", "dbname", "unix_socket", "service")  # of a database's URL


def staging_location(settings: Settings) -> Location:
    """Call it in the process that opens the place. Raises `ConfigError` for a variable or file that is missing."""
    options = {} if settings.staging.uri is not None else _options_of("shared", settings.shared, settings)
    return Location(settings.staging_uri, options | _options_of("staging", settings.staging, settings))


def quarantine_location(settings: Settings) -> Location:
    """Raises as `staging_location` does."""
    return _shared_location(settings.quarantine_uri, settings)


def quarantine_file(uri: str, settings: Settings) -> Location:
    """A file that a document names; older documents may name one in the home."""
    return _shared_location(uri, settings)


def documents_location(settings: Settings) -> Location:
    """Raises as `staging_location` does."""
    return _shared_location(settings.documents_uri, settings)


def _shared_location(uri: str, settings: Settings) -> Location:
    return Location(uri, _options_of("shared", settings.shared, settings) if "://" in uri else {})


def _options_of(where: str, address: StoreAddress, settings: Settings) -> dict[str, str]:
    return {
        name: follow(value, f"{where}.storage_options.{name}", settings) if is_reference(value) else value
        for name, value in address.storage_options.items()
    }


def sink_location(sink: Endpoint, settings: Settings) -> str | None:
    """Where the rows of a sink are, in one line without login and secrets: what a checkpoint belongs to. Makes no request.

    None where this process cannot tell: the template names no such fields, or a reference of it can only be followed elsewhere.
    """
    try:
        fields = sink_family(sink.template).descriptor.location_fields
        given = {name: _of_location(sink.config[name]) for name in fields if sink.config.get(name) is not None}
        real = resolve(sink.model_copy(update={"config": given}), settings, asks_stores=False).config
    except (ConfigError, SecretUnavailable, SinkMissing):
        return None
    texts = [text for name in given for text in _texts_of(name, real[name])]
    return None if any(is_reference(text.partition(" ")[2] or text) for text in texts) else ", ".join(texts) or None


def _of_location(value: JsonValue) -> JsonValue:
    return (
        {name: part for name, part in value.items() if _LOCATION_OPTION.search(name)}
        if isinstance(value, dict) and "$secret" not in value
        else value
    )


def _texts_of(name: str, value: JsonValue) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{option.lower()} {plain_address(str(part))}" for option, part in sorted(value.items())]
    text = shown_url(str(value))
    if "://" in text or text.startswith("/"):
        return [plain_address(text)]
    return [] if text == _DEFAULTS.get(name, "") else [f"{name} {text}"]


def plain_address(text: str) -> str:
    """A URL or path in one spelling, without login and options: two of them are equal where both surely mean one location."""
    text = text.removeprefix("jdbc:")
    if text.startswith("file://"):
        text = "/" + text.removeprefix("file://").lstrip("/")
    if "://" not in text:
        return re.sub(r"/+", "/", text).rstrip("/") or text
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower().partition("+")[0]
    scheme = _SAME_SCHEMES.get(scheme, scheme)
    if scheme == "sqlite":
        return f"sqlite:///{re.sub(r'/+', '/', rest.partition('?')[0][1:])}"
    before, slash, after = rest.partition("/")
    parts = urlsplit(f"//{before.rpartition('@')[2] if scheme not in ('abfs', 'az') else before}{slash}{after}")
    host = parts.netloc.lower() if scheme not in ("s3", "gs") else parts.netloc
    host = host.removesuffix(f":{_DEFAULT_PORTS.get(scheme)}")
    found = dict(parse_qsl(parts.query))
    more = "&".join(f"{name}={found[name]}" for name in _LOCATION_PARAMETERS if name in found)
    return f"{scheme}://{host}{parts.path.rstrip('/')}{f'?{more}' if more else ''}"
