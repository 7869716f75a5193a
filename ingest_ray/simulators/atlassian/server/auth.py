"""Checks the login of a request, and issues the tokens of OAuth 2.0 clients.

    site host   user and API token or password; a personal access token (Data Center); what a Data Center issued
    gateway     user and API token, with or without scopes; a bearer token with scopes; an OAuth 2.0 access token

Scoped API tokens are good at the gateway only: https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/
A refresh token is good for one use, and ten minutes longer; a later use ends the chain:
https://community.developer.atlassian.com/t/updated-31-january-2022-action-required-deprecating-persistent-refresh-tokens/54172
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["known", "nobody", "wrong", "unreadable", "bearer-on-site"]
CLIENT_ID, CLIENT_SECRET = "sim-client", "sim-client-secret"
LEEWAY_MS = 600_000


@dataclass(slots=True)
class Credentials:
    """One account: a token without scopes, one with scopes, and an OAuth 2.0 client. `scopes` None: all."""

    user: str
    token: str
    cloud: bool
    scopes: frozenset[str] | None = None
    token_life_s: float = 3600.0
    access: dict[str, int] = field(default_factory=dict)
    refresh: str = "refresh-0"
    used: dict[str, int] = field(default_factory=dict)
    is_chain_ended: bool = False
    issued: int = 0

    @property
    def scoped_token(self) -> str:
        return f"scoped-{self.token}"

    def check(self, header: str, *, gateway: bool, now_ms: int) -> Verdict:
        kind, _, value = header.partition(" ")
        if not header:
            return "nobody"
        if kind.lower() == "basic":
            try:
                user, _, password = b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return "unreadable"
            tokens = (self.token, self.scoped_token) if gateway else (self.token,)
            return "known" if user.lower() == self.user.lower() and password in tokens else "wrong"
        if kind.lower() == "bearer":
            if self.cloud and not gateway:
                return "bearer-on-site"
            tokens = (self.token, self.scoped_token) if gateway else (self.token,)
            return "known" if value in tokens or self.access.get(value, 0) > now_ms else "wrong"
        return "unreadable"

    def lacks(self, header: str, alternatives: list[list[str]]) -> bool:
        """Whether the token of a good login has the scopes of none of the alternatives. A token without scopes may do anything."""
        if self.scopes is None or not alternatives or self._token_of(header) == self.token:
            return False
        return not any(self.scopes.issuperset(names) for names in alternatives)

    def _token_of(self, header: str) -> str:
        kind, _, value = header.partition(" ")
        return b64decode(value).decode().partition(":")[2] if kind.lower() == "basic" else value

    def rotate(self) -> str:
        """Replaces the token; the old one is invalid from now on."""
        self.token = f"{self.token}-next"
        self.access.clear()
        return self.token

    def answer_grant(self, form: dict[str, str], now_ms: int) -> tuple[int, dict[str, object]]:
        """Status and body of a token endpoint: https://datatracker.ietf.org/doc/html/rfc6749#section-5"""
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "access_denied", "error_description": "Unauthorized"}
        match form.get("grant_type"):
            case "client_credentials":
                return 200, self._issue(now_ms)
            case "refresh_token":
                return self._answer_refresh(form.get("refresh_token", ""), now_ms)
            case _:
                return 400, {"error": "unsupported_grant_type"}

    def _answer_refresh(self, refresh: str, now_ms: int) -> tuple[int, dict[str, object]]:
        used_ms = self.used.get(refresh)
        if used_ms is not None and now_ms - used_ms > LEEWAY_MS:
            self.is_chain_ended = True
        is_known = refresh == self.refresh or used_ms is not None
        if not is_known or self.is_chain_ended:
            return 403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}
        self.used.setdefault(refresh, now_ms)
        issued = self._issue(now_ms)
        self.refresh = f"refresh-{self.issued}"
        return 200, issued | {"refresh_token": self.refresh}

    def _issue(self, now_ms: int) -> dict[str, object]:
        self.issued += 1
        access = f"access-{self.issued}-{self.token}"
        self.access[access] = now_ms + int(self.token_life_s * 1000)
        scopes = ["offline_access", *sorted(self.scopes or ())]
        expires_in = int(self.token_life_s) if self.token_life_s >= 1 else self.token_life_s
        return {"access_token": access, "expires_in": expires_in, "scope": " ".join(scopes), "token_type": "Bearer"}
