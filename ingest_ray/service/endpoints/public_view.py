"""The public view of an endpoint: without its secrets, and without a sign of whether it has any."""

import re

from pydantic import JsonValue

from ingest_ray import logs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets import redact
from ingest_ray.secrets.fields import map_secrets
from ingest_ray.service.endpoints.templates import descriptor_of

URL_FIELDS = ("base_url", "url", "uri", "path")


def capabilities_of(entry: Registration) -> tuple[str, ...]:
    if entry.about.capabilities is not None:
        return entry.about.capabilities
    try:
        return descriptor_of(entry.endpoint.template)[1].capabilities
    except ConfigError:  # of another installation that shares the catalog
        return ()


def public_config(entry: Registration) -> dict[str, JsonValue]:
    """The configuration without secrets, and without a sign of whether there are any."""
    try:
        model = descriptor_of(entry.endpoint.template)[1].config_model
    except ConfigError:
        return {}
    hidden: set[tuple[str | int, ...]] = set()

    def hide(path: tuple[str | int, ...], value: JsonValue, is_url: bool) -> JsonValue:
        if not is_url:
            hidden.add(path)
        return value

    map_secrets(model, entry.endpoint.config, hide)
    redacted = redact(entry.endpoint.config, model)
    visible = {name: value for name, value in redacted.items() if not any(path[0] == name for path in hidden)}
    return {name: _without_redactions(value) for name, value in visible.items()}


def public_url(entry: Registration) -> str:
    """The URL or path in the endpoint's configuration."""
    shown = public_config(entry)
    return next((str(shown[name]) for name in URL_FIELDS if shown.get(name)), "")


def url_field_of(template: str) -> str:
    """The field with the URL or path of an endpoint of the template. Raises `ConfigError` where there is none."""
    known = descriptor_of(template)[1].config_model.model_fields
    found = next((name for name in URL_FIELDS if name in known), None)
    if found is None:
        raise ConfigError(f"url: an endpoint of template '{template}' has none")
    return found


_MARK = re.compile(r"(:\*\*\*(?=@))|([?&;][\w-]+=\*\*\*)")


def _without_redactions(value: JsonValue) -> JsonValue:
    """A URL looks the same with and without a password."""
    if isinstance(value, str):
        return "" if value == logs.HIDDEN else _MARK.sub("", value)
    return value
