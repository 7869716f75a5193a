"""What the CDM mappers of Jira and Confluence share."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from ingest_ray.cdm import MapContext, cdm_id

USER = "cdm.work.user"


def user_cdm_id(context: MapContext, account_id: str | None) -> str | None:
    return cdm_id(USER, context.system, account_id) if account_id else None


def is_loopback(url: str) -> bool:
    """True for an address that a server was never told to replace: `http://localhost:8080`. Nobody else can open it."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def present(**values: Any) -> dict[str, Any]:
    """The values that are neither None nor empty."""
    return {name: value for name, value in values.items() if value not in (None, [], "")}


def configured_url(config: Mapping[str, JsonValue]) -> str:
    """The address that the endpoint's configuration names: the site's own, or the one that requests go to."""
    return str(config.get("site") or config.get("base_url") or "")
