"""How a Jira endpoint is configured."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ingest_ray.errors import ConfigError
from ingest_ray.models import Endpoint

Seconds = Annotated[float, Field(gt=0, le=3600)]
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")


class JiraConfig(BaseModel):
    """`auth_type`: `basic` is user and API token (Data Center: password), `pat` a personal access token, `oauth` an access
    token, for which `base_url` is `https://api.atlassian.com/ex/jira/<cloudId>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str
    auth_type: Literal["basic", "pat", "oauth"] = "basic"
    username: str | None = None
    api_token: SecretStr
    project_keys: tuple[str, ...] = ()
    """None: every project that the account may browse."""
    jql_filter: str | None = None
    """A condition that every issue must meet, besides the unit's own filters."""
    slice_issues: Annotated[int, Field(ge=1, le=10_000)] = 500
    requests_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    """Of one reader; the throttle bounds those of all readers together."""
    number_type: Literal["decimal", "float64", "text"] = "decimal"
    """What number fields become: decimal(38, 16), or floats where formulas give numbers that decimals cannot hold."""
    timeout_s: Seconds = 60.0
    retry_wait_s: Seconds = 0.5
    """Before the second try of a request; it doubles with each."""
    verify_tls: bool | str = True
    """Or the path of a file of certificates."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not re.match(r"https?://[^/\s@]+(/[^\s?#]*)?$", self.base_url):
            raise ValueError("field 'base_url': http(s)://host, without user, query or fragment")
        if self.auth_type == "basic" and not self.username:
            raise ValueError("field 'username': basic authentication needs one")
        if self.jql_filter is not None:
            bare = _QUOTED.sub("", self.jql_filter)
            if not bare.strip() or _ORDERED.search(bare) or not is_closed(bare):
                raise ValueError("field 'jql_filter': a JQL condition without ORDER BY, brackets in pairs")
        return self


def is_closed(condition: str) -> bool:
    """Every bracket that is opened is closed, and none before: else it would reach out of the brackets around it."""
    depth = 0
    for sign in condition:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0 and not any(mark in condition for mark in "\"'")


def parse_config(endpoint: Endpoint) -> JiraConfig:
    """The endpoint's configuration, checked. Raises `ConfigError` that names the field and never shows a value."""
    try:
        return JiraConfig.model_validate(endpoint.config)
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            place = ".".join(str(part) for part in fault["loc"])
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(f"field '{place}': {message}" if place else message)
        raise ConfigError(f"endpoint '{endpoint.endpoint_id}': {'; '.join(faults)}") from None
