"""Checks the login of a request: API token or password, personal access token, OAuth access token at the gateway."""

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["known", "nobody", "wrong", "unreadable", "bearer-on-site"]


@dataclass(slots=True)
class Credentials:
    """One account with one token. OAuth refresh tokens rotate: each is good for one use."""

    user: str
    token: str
    cloud: bool
    access: dict[str, int] = field(default_factory=dict)
    refresh: str = "refresh-0"
    issued: int = 0

    def check(self, header: str, *, gateway: bool, now_ms: int) -> Verdict:
        kind, _, value = header.partition(" ")
        if not header:
            return "nobody"
        if kind.lower() == "basic":
            try:
                user, _, password = b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return "unreadable"
            return "known" if (user.lower(), password) == (self.user.lower(), self.token) else "wrong"
        if kind.lower() == "bearer":
            if not self.cloud:
                return "known" if value == self.token else "wrong"
            if not gateway:
                return "bearer-on-site"
            return "known" if self.access.get(value, 0) > now_ms or value == self.token else "wrong"
        return "unreadable"

    def rotate(self) -> str:
        """Replaces the token; the old one is invalid from now on."""
        self.token = f"{self.token}-next"
        self.access.clear()
        return self.token

    def exchange(self, refresh: str, now_ms: int) -> dict[str, object] | None:
        """A new access token, good for an hour, and the next refresh token; None for a used or unknown one."""
        if refresh != self.refresh:
            return None
        self.issued += 1
        self.refresh = f"refresh-{self.issued}"
        access = f"access-{self.issued}"
        self.access[access] = now_ms + 3_600_000
        scope = "read:jira-work read:jira-user offline_access"
        return {
            "access_token": access,
            "refresh_token": self.refresh,
            "expires_in": 3600,
            "scope": scope,
            "token_type": "Bearer",
        }
