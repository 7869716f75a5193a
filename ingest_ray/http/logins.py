"""The Authorization header of requests: a fixed one, or an access token that ends and is renewed."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Protocol

from ingest_ray import logs
from ingest_ray.http.access_tokens import AccessTokens
from ingest_ray.sdk.errors import ConfigError


class Login(Protocol):
    """Thread-safe. `identity` names the account without a secret: budgets are counted by it."""

    @property
    def identity(self) -> str: ...

    def header(self) -> str:
        """The header's value; empty: none is sent. Raises `SourceDenied` or `SourceUnavailable` where a token cannot be had."""
        ...

    def renew(self, refused: str) -> bool:
        """After a 401 to this header: whether there is another one to try now."""
        ...


@dataclass(frozen=True)
class Auth:
    """Exactly one of `user` with `token` (basic), or `token` alone (bearer: a PAT, or an API or access token)."""

    token: str
    user: str | None = None

    def __post_init__(self) -> None:
        logs.hide(self.token)
        if self.user is not None:
            logs.hide(self._basic)

    def __repr__(self) -> str:
        return f"Auth({'basic' if self.user else 'bearer'})"

    @property
    def identity(self) -> str:
        """The user; of a bearer token, which names none, its digest: two tokens of one user have two budgets."""
        return self.user or f"bearer {hashlib.sha256(self.token.encode()).hexdigest()}"

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.user}:{self.token}".encode()).decode()

    def header(self) -> str:
        return f"Basic {self._basic}" if self.user is not None else bearer(self.token)

    def renew(self, refused: str) -> bool:
        return False


class Anonymous:
    """No login, for what everybody may read."""

    identity = "anonymous"

    def header(self) -> str:
        return ""

    def renew(self, refused: str) -> bool:
        return False


@dataclass(frozen=True)
class RenewedLogin:
    """The access token of an OAuth 2.0 client."""

    tokens: AccessTokens

    @property
    def identity(self) -> str:
        return self.tokens.grant.client_id

    def header(self) -> str:
        return bearer(self.tokens.current())

    def renew(self, refused: str) -> bool:
        return bearer(self.tokens.replace(refused.removeprefix("Bearer "))) != refused


def bearer(token: str) -> str:
    """Raises `ConfigError` for a token that no header can carry."""
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(
            "the bearer token has characters that no HTTP header can carry", hint="check the field 'api_token'"
        )
    return f"Bearer {token}"
