"""Finds the scopes that a token lacks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest_ray.http.client import ONCE
from ingest_ray.http.errors import ScopeMissing
from ingest_ray.sdk.errors import SourceError
from ingest_strategies.atlassian.access.scopes import scopes_text
from ingest_strategies.atlassian.site_client import SiteClient

Operations = Mapping[str, Sequence[str]]
"""Unit -> its operations; `""`: all units."""


@dataclass(frozen=True)
class MissingScope:
    """An operation that the token may not call, and the units that call it; `""` is all of them."""

    operation: str
    units: tuple[str, ...]

    @property
    def scopes(self) -> str:
        return scopes_text(self.operation)


def find_missing_scopes(client: SiteClient[Any], operations: Operations) -> Iterator[MissingScope]:
    """Asks every operation once, about an object that does not exist. Whatever it answers but 401 `scope does not match` shows that the
    token may call it: scopes are checked before anything else. Only tokens at the gateway have scopes.

    There is no request that lists the scopes of an API token; for OAuth 2.0 apps `accessible-resources` has them, but not in full where
    an app was given more since: https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/
    """
    if "/ex/" not in client.http.site.base_url:
        return
    units: dict[str, list[str]] = {}
    for unit, names in operations.items():
        for operation in names:
            units.setdefault(operation, []).append(unit)
    lacks = client.map_concurrently(lambda operation: _lacks_scope(client, operation), iter(units))
    for operation, is_missing in zip(units, lacks, strict=True):
        if is_missing:
            yield MissingScope(operation, tuple(units[operation]))


def _lacks_scope(client: SiteClient[Any], operation: str) -> bool:
    """False where it cannot be told: the run will tell."""
    method, path = operation.replace("{}", "0").split(" ")
    try:
        if method == "GET":
            client.http.get(path, bytes, {}, ONCE)
        else:
            client.http.ask(path, bytes, {}, ONCE)
    except ScopeMissing:
        return True
    except SourceError:
        return False
    return False
