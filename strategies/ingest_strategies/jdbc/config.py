"""The configuration that SQL endpoints share: fields, or a URL in any usual form, from which the password is removed."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class SqlConfig(BaseModel):
    """The choice of tables, which all SQL sources have."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    include: tuple[str, ...] = ()
    """Globs over dataset names (`public.order*`); none: everything."""
    exclude: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr) and value)

    def includes(self, name: str) -> bool:
        """Whether `include` and `exclude` select a dataset of this name."""
        if self.include and not any(fnmatchcase(name, pattern) for pattern in self.include):
            return False
        return not any(fnmatchcase(name, pattern) for pattern in self.exclude)


def spread_url(
    given: Any, schemes: tuple[str, ...], query_names: Mapping[str, str], path_field: str = "database"
) -> Any:
    """Spreads a network URL over the fields; a field that is given as well takes precedence."""
    if not isinstance(given, Mapping) or not given.get("url"):
        return given
    fields = dict(given)
    text = str(fields["url"]).removeprefix("jdbc:")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("field 'url': not a URL; a port is a number, brackets belong around IPv6 hosts") from None
    if parts.scheme.split("+")[0] not in schemes:
        raise ValueError(f"field 'url': must begin with '{schemes[0]}://' or 'jdbc:{schemes[0]}://'")
    values: dict[str, Any] = {
        "host": parts.hostname,
        "port": port,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        path_field: unquote(parts.path.lstrip("/")) or None,
    }
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in query_names:
            raise ValueError(f"field 'url': parameter '{name}' is not known; known: {', '.join(sorted(query_names))}")
        field = query_names[name]
        values[field] = tuple(value.split(",")) if field == "schemas" else value
    fill_absent(fields, values)
    user = f"{quote(parts.username, safe='%')}@" if parts.username else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    fields["url"] = f"{parts.scheme}://{user}{host}{f':{port}' if port else ''}{parts.path}"
    return fields


def fill_absent(fields: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Sets the fields that were not given."""
    for name, value in values.items():
        if value is not None and fields.get(name) in (None, (), ""):
            fields[name] = value


SqlModel = TypeVar("SqlModel", bound=SqlConfig)


def parse_config(model: type[SqlModel], endpoint: Endpoint) -> SqlModel:
    """The endpoint's configuration, checked. Raises `ConfigError` that names the field and never shows a value."""
    try:
        return model.model_validate(endpoint.config)
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            location = ".".join(str(part) for part in fault["loc"])
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(f"field '{location}': {message}" if location else message)
        raise ConfigError(f"endpoint '{endpoint.endpoint_id}': {'; '.join(faults)}") from None
