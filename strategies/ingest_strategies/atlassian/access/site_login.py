"""Logs into a site: the login of its configuration, and the gateway of a Cloud site, found from its own address."""

import json
import threading
from typing import Any
from urllib.parse import urlsplit

from ingest_ray.http.access_tokens import TokenGrant
from ingest_ray.http.client import Client, Site, Tries
from ingest_ray.http.errors import NotThere
from ingest_ray.http.logins import Anonymous, Auth, Login, RenewedLogin
from ingest_ray.http.token_endpoint import access_tokens
from ingest_ray.http.transport import Transport
from ingest_ray.sdk.errors import ConfigError, SourceDenied, SourceError
from ingest_ray.sdk.secret_store import SecretStore
from ingest_strategies.atlassian.config import SiteConfig

CLOUD_TOKENS = "https://auth.atlassian.com/oauth/token"
SERVER_TOKENS = "/rest/oauth2/latest/token"
"""Below the address of a Data Center: https://confluence.atlassian.com/enterprise/service-accounts-overview-1627095923.html"""
_found: dict[tuple[str, str], str] = {}
_lock = threading.Lock()


def login_of(config: SiteConfig, store: SecretStore | None) -> Login:
    """Makes no request."""
    grant = grant_of(config)
    if grant is not None:
        return RenewedLogin(access_tokens(grant, transport_of(config), store, as_form=not config.is_cloud_app))
    token = config.api_token.get_secret_value() if config.api_token else ""
    return Auth(token, config.username if config.auth_type == "basic" else None)


def grant_of(config: SiteConfig) -> TokenGrant | None:
    """The client whose access tokens end; None for a fixed login."""
    if config.client_id is None or config.client_secret is None:
        return None
    server = f"{config.own_url.removesuffix('/wiki')}{SERVER_TOKENS}"
    return TokenGrant(
        token_url=config.token_url or (CLOUD_TOKENS if config.is_cloud_app else server),
        client_id=config.client_id,
        client_secret=config.client_secret.get_secret_value(),
        refresh_token=config.refresh_token.get_secret_value() if config.refresh_token else None,
        scope=config.oauth_scope,
    )


def transport_of(config: SiteConfig) -> Transport:
    password = config.client_key_password
    return Transport(
        verify=config.verify_tls,
        client_cert=config.client_cert,
        client_key=config.client_key,
        client_key_password=password.get_secret_value() if password else None,
        proxy=config.proxy,
        timeout_s=config.timeout_s,
    )


def request_url(config: SiteConfig, product: str, login: Login) -> str:
    """Where requests go: `base_url`, or the gateway of `site`. `product`: `jira` or `confluence`.

    https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/

    Raises:
        ConfigError: the site is no Cloud site.
        SourceDenied: the login may not see the site.
    """
    if config.site is None:
        return (config.base_url or "").rstrip("/")
    return f"{config.gateway_url.rstrip('/')}/ex/{product}/{find_cloud_id(config, login)}"


def find_cloud_id(config: SiteConfig, login: Login) -> str:
    """The id of the site: from the site itself, without a login, or from what an OAuth app may use. Asked for once per process."""
    if config.cloud_id is not None:
        return config.cloud_id
    key = (config.own_url, config.gateway_url)
    with _lock:
        if key not in _found:
            _found[key] = _tenant_id(config) or _resource_id(config, login)
        return _found[key]


def _tenant_id(config: SiteConfig) -> str | None:
    try:
        document = _get(config, _origin(config.own_url), Anonymous(), "/_edge/tenant_info")
    except SourceDenied:
        return None
    except NotThere:
        raise ConfigError(
            f"'{config.own_url}' is no Cloud site: it does not tell its cloudId",
            hint="use 'base_url' for a Data Center",
        ) from None
    cloud_id = document.get("cloudId") if isinstance(document, dict) else None
    return cloud_id if isinstance(cloud_id, str) and cloud_id else None


def _resource_id(config: SiteConfig, login: Login) -> str:
    """https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/"""
    resources = _get(config, config.gateway_url, login, "/oauth/token/accessible-resources")
    for resource in resources if isinstance(resources, list) else ():
        if isinstance(resource, dict) and _origin(str(resource.get("url"))) == _origin(config.own_url):
            return str(resource.get("id"))
    raise SourceDenied(
        f"'{config.own_url}' does not tell its cloudId, and is none of the sites of this login",
        hint="authorize the app for the site, or set 'cloud_id'",
    )


def _get(config: SiteConfig, base_url: str, login: Login, path: str) -> Any:
    site = Site(base_url, login, transport_of(config), config.timeout_s, Tries(first_wait_s=config.retry_wait_s))
    with Client(site, 1) as http:
        try:
            return http.get(path, json.loads)
        except SourceError as error:
            error.hint = error.hint or "the cloudId of the site cannot be found; set 'cloud_id'"
            raise


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
