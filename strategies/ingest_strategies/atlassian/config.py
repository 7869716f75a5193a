"""The configuration fields of every Atlassian endpoint: how its site is reached and logged into."""

import re
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint

Seconds = Annotated[float, Field(gt=0, le=3600)]


class SiteConfig(BaseModel):
    """`auth_type`: `basic` is user and API token (Data Center: password), `pat` a personal access token, `oauth` an access
    token, for which `base_url` is `https://api.atlassian.com/ex/<product>/<cloudId>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str
    auth_type: Literal["basic", "pat", "oauth"] = "basic"
    username: str | None = None
    api_token: SecretStr
    requests_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    """Of one reader; the throttle bounds those of all readers together."""
    timeout_s: Seconds = 60.0
    retry_wait_s: Seconds = 0.5
    """Before the second try of a request; it doubles with each."""
    verify_tls: bool | str = True
    """Or the path of a file of certificates."""

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if not re.match(r"https?://[^/\s@]+(/[^\s?#]*)?$", self.base_url):
            raise ValueError("field 'base_url': http(s)://host, without user, query or fragment")
        if self.auth_type == "basic" and not self.username:
            raise ValueError("field 'username': basic authentication needs one")
        return self


C = TypeVar("C", bound=SiteConfig)


def parse_site_config(kind: type[C], endpoint: Endpoint) -> C:
    """The endpoint's configuration, checked. Raises `ConfigError` that names the field and never shows a value."""
    try:
        return kind.model_validate(endpoint.config)
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            field = ".".join(str(part) for part in fault["loc"])
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(f"field '{field}': {message}" if field else message)
        raise ConfigError(f"endpoint '{endpoint.endpoint_id}': {'; '.join(faults)}") from None
