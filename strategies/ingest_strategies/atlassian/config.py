"""The configuration fields of every Atlassian endpoint: how its site is reached and logged into."""

import re
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ingest_ray.http.proxies import NO_PROXY, checked_proxy
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.local_paths import LocalPath
from ingest_ray.sdk.types import Endpoint

Seconds = Annotated[float, Field(gt=0, le=3600)]
GATEWAY = "https://api.atlassian.com"


class SiteConfig(BaseModel):
    """`base_url` is where requests go. `site` is a Cloud site whose requests go through the gateway, which is found from it.

    `auth_type`: `basic` is user and API token (Data Center: password), `pat` a bearer token: a personal access token, or an API token of
    a service account. `oauth` is an OAuth 2.0 app: an access token, or a refresh token with the app's id and secret.
    `client_credentials` is the id and secret of a service account.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str | None = None
    site: str | None = None
    auth_type: Literal["basic", "pat", "oauth", "client_credentials"] = "basic"
    username: str | None = None
    api_token: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    oauth_scope: str | None = None
    """What `client_credentials` asks for, with blanks between; Data Center needs it."""
    cloud_id: str | None = None
    """Of `site`, where it shall not be asked for it."""
    gateway_url: str = GATEWAY
    token_url: str | None = None
    proxy: str | None = None
    """A URL, or `none`; None: as HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say."""
    verify_tls: bool | LocalPath = True
    """Or the path of a file or folder of certificates."""
    client_cert: LocalPath | None = None
    client_key: LocalPath | None = None
    client_key_password: SecretStr | None = None
    requests_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    """Of one reader; the throttle bounds those of all readers together."""
    timeout_s: Seconds = 60.0
    retry_wait_s: Seconds = 0.5
    """Before the second try of a request; it doubles with each."""

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if (self.base_url is None) == (self.site is None):
            raise ValueError("field 'base_url': either it or 'site' is needed, and not both")
        for name in ("base_url", "site", "gateway_url", "token_url"):
            url = getattr(self, name)
            if url is not None and not re.match(r"https?://[^/\s@]+(/[^\s?#]*)?$", url):
                raise ValueError(f"field '{name}': http(s)://host, without user, query or fragment")
        if self.cloud_id is not None and (self.site is None or not re.fullmatch(r"[\w-]{1,64}", self.cloud_id)):
            raise ValueError("field 'cloud_id': the id of 'site', letters, digits and '-'")
        if self.proxy is not None and self.proxy != NO_PROXY:
            try:
                checked_proxy(self.proxy, "field 'proxy'")
            except ConfigError as error:
                raise ValueError(f"{error.message}: {error.hint}") from None
        if self.client_cert is None and (self.client_key is not None or self.client_key_password is not None):
            raise ValueError("field 'client_cert': a key needs its certificate")
        return self

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        has_app = [name for name in ("client_id", "client_secret", "refresh_token") if getattr(self, name) is not None]
        match self.auth_type:
            case "basic" | "pat":
                needed = ["api_token"]
                if self.auth_type == "basic" and not self.username:
                    raise ValueError("field 'username': basic authentication needs one")
                if has_app:
                    raise ValueError(f"field '{has_app[0]}': only for auth_type oauth and client_credentials")
            case "oauth":
                needed = ["client_id", "client_secret", "refresh_token"] if has_app else ["api_token"]
            case _:
                needed = ["client_id", "client_secret"]
                if self.refresh_token is not None:
                    raise ValueError("field 'refresh_token': client credentials have none")
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f"field '{name}': auth_type {self.auth_type} needs it")
        return self

    @property
    def own_url(self) -> str:
        """The address that the configuration names: the site's own, or the one that requests go to."""
        return (self.site or self.base_url or "").rstrip("/")

    @property
    def is_cloud_app(self) -> bool:
        """Whether tokens come from Atlassian's own endpoint; a Data Center issues its own."""
        return self.site is not None or "/ex/" in (self.base_url or "")


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
