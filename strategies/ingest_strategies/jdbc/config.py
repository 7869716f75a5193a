"""The configuration that SQL endpoints share: fields, or a URL in any usual form, from which the password is removed."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ingest_ray.connections.tunnel import TunnelConfig
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint

QUOTING = "in a user or a password, '#' is written %23, '/' %2F, '?' %3F, '@' %40, '[' %5B, '%' %25; or use the field 'password'"
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class SqlConfig(BaseModel):
    """The choice of tables, which all SQL sources have."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    include: tuple[str, ...] = ()
    """Globs over dataset names (`public.order*`); none: everything."""
    exclude: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        values = [getattr(self, name) for name in type(self).model_fields]
        own = tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr) and value)
        return own + tuple(secret for value in values if isinstance(value, TunnelConfig) for secret in value.secrets)

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
    parts = split_url(str(fields["url"]).removeprefix("jdbc:"))
    if parts.scheme.split("+")[0] not in schemes:
        raise ValueError(f"field 'url': must begin with '{schemes[0]}://' or 'jdbc:{schemes[0]}://'")
    user, _, address = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    host, port = host_and_port(address)
    values: dict[str, Any] = {
        "host": host,
        "port": port,
        "user": unquote(name) or None,
        "password": unquote(password) or None,
        path_field: unquote(parts.path.lstrip("/")) or None,
    }
    for name_of_parameter, value in parse_qsl(parts.query, keep_blank_values=True):
        if name_of_parameter not in query_names:
            known = ", ".join(sorted(query_names))
            raise ValueError(f"field 'url': parameter '{name_of_parameter}' is not known; known: {known}")
        field = query_names[name_of_parameter]
        values[field] = tuple(value.split(",")) if field == "schemas" else value
    fill_absent(fields, values)
    shown_user = f"{quote(name, safe='%')}@" if name else ""
    fields["url"] = f"{parts.scheme}://{shown_user}{address}{parts.path}"
    return fields


def split_url(text: str) -> SplitResult:
    """Raises `ValueError` where a part of a password was taken for the beginning of another part of the URL."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("field 'url': brackets belong around IPv6 addresses only; " + QUOTING) from None
    is_cut = "@" not in parts.netloc and "@" in parts.path + parts.query
    if parts.fragment or is_cut:
        raise ValueError("field 'url': it has a '#', '/' or '?' in front of the host, or a part after '#'; " + QUOTING)
    return parts


def host_and_port(address: str) -> tuple[str | None, int | None]:
    """A name, an IPv6 address in brackets, or a quoted path of a socket's folder; several as they are, `a:1,b:2`."""
    if "," in address:
        return address, None
    host, port = address, ""
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif ":" in address:
        host, _, port = address.rpartition(":")
    if (port and not port.isdecimal()) or (":" in host and not address.startswith("[")):
        raise ValueError("field 'url': a port is a number, brackets belong around IPv6 addresses; " + QUOTING)
    return unquote(host) or None, int(port) if port else None


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
