"""Access tokens of OAuth 2.0 clients: obtained once for all threads and processes of an installation, and renewed before they end.

    document in the secret store   access token, its end, the current refresh token, and who renews it now
    renewal                        claim the document (compare-and-set) -> exchange -> write the new tokens

A refresh token is good for one exchange; Atlassian accepts it again for ten minutes, and ends the whole chain after that:
https://community.developer.atlassian.com/t/updated-31-january-2022-action-required-deprecating-persistent-refresh-tokens/54172
So a process that dies between exchange and write loses nothing, as long as another one takes its claim over within that time: a
claim whose process is seen to be gone, or that was not followed by a write for `CLAIM_S`, is taken over, with the same refresh token.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from ingest_ray import logs
from ingest_ray.http.timing import Timing
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import IngestError, SourceDenied, StateConflict
from ingest_ray.sdk.secret_store import SecretStore

log = logging.getLogger(__name__)

CLAIM_S = 60.0  # longer than an exchange with its retries, and a fraction of the ten minutes
POLL_S = 0.2
HOLD_S = 10.0  # after a renewal without an answer the next one is tried, as long as the token of before is good
MOST_MARGIN_S = 300.0  # a token is renewed this long before its end, so that no request meets it
MARGIN = 0.1  # of its life, where that is less
DEFAULT_LIFE_S = 3600.0
QUICK_END_S = 30.0
MOST_QUICK_ENDS = 5  # a clock that is set forward ends one token early, not one after the other


@dataclass(frozen=True)
class TokenGrant:
    """An OAuth 2.0 client: with a refresh token (3LO), or by itself (client credentials)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    scope: str | None = None

    def __post_init__(self) -> None:
        for secret in (self.client_secret, self.refresh_token):
            if secret:
                logs.hide(secret)

    @property
    def key(self) -> str:
        """Endpoints with the same grant share its tokens; a new refresh token in the configuration begins a new chain."""
        parts = (self.token_url, self.client_id, self.client_secret, self.refresh_token or "", self.scope or "")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def request(self, refresh_token: str | None) -> dict[str, str]:
        """The body of the request to the token endpoint."""
        client = {"client_id": self.client_id, "client_secret": self.client_secret}
        if refresh_token is not None:
            return {"grant_type": "refresh_token", **client, "refresh_token": refresh_token}
        scope = {"scope": self.scope} if self.scope else {}
        return {"grant_type": "client_credentials", **client, **scope}


@dataclass(frozen=True)
class IssuedToken:
    """The answer of a token endpoint."""

    access_token: str = field(repr=False)
    life_s: float = DEFAULT_LIFE_S
    refresh_token: str | None = field(default=None, repr=False)
    scope: str | None = None


Exchange = Callable[[Mapping[str, str]], IssuedToken]
"""Sends a request to the token endpoint. Raises `SourceDenied` where it is refused, `SourceUnavailable` where there is no answer."""


@dataclass(frozen=True)
class _Kept:
    """What the secret store has, and its version."""

    document: Mapping[str, JsonValue]
    version: int

    def text(self, name: str) -> str | None:
        value = self.document.get(name)
        return value if isinstance(value, str) and value else None

    def number(self, name: str) -> float:
        value = self.document.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    @property
    def life_s(self) -> float:
        return self.number("life_s") or DEFAULT_LIFE_S

    def is_fresh(self, now: float, refused: str | None) -> bool:
        """Usable, and not near its end."""
        margin_s = min(MOST_MARGIN_S, MARGIN * self.life_s)
        return self.is_usable(now + margin_s, refused)

    def is_usable(self, now: float, refused: str | None) -> bool:
        token = self.text("access_token")
        return token is not None and token != refused and now < self.number("ends_at")


class AccessTokens:
    """The access token of one grant. One object per process, grant and store: threads wait for each other."""

    def __init__(self, grant: TokenGrant, store: SecretStore, exchange: Exchange, timing: Timing) -> None:
        self.grant = grant
        self._store = store
        self._exchange = exchange
        self._timing = timing
        self._lock = threading.Lock()
        self._kept = _Kept({}, 0)
        self._held_until = float("-inf")

    def current(self) -> str:
        """Raises:
        SourceDenied: the client or its refresh token is not accepted any more.
        SourceUnavailable: the token endpoint does not answer, and there is no usable token.
        """
        with self._lock:
            now = self._timing.wall()
            is_held = self._timing.monotonic() < self._held_until and self._kept.is_usable(now, None)
            if not is_held and not self._kept.is_fresh(now, None):
                self._obtain(None)
            return str(self._kept.text("access_token"))

    def replace(self, refused: str) -> str:
        """The token to use instead of one that was refused; renewed once, however many requests it was refused to."""
        with self._lock:
            if self._kept.text("access_token") == refused:
                self._obtain(refused)
            return str(self._kept.text("access_token"))

    def _obtain(self, refused: str | None) -> None:
        """Takes the token that the store has, or renews it."""
        claimed, claimed_at = -1, 0.0
        while True:
            kept = self._read()
            now = self._timing.wall()
            if kept.is_fresh(now, refused):
                self._kept = kept
                return
            self._refuse_quick_end(kept, refused, now)
            if kept.text("renewed_by"):
                if kept.version != claimed:
                    claimed, claimed_at = kept.version, self._timing.monotonic()
                is_expired = self._timing.monotonic() - claimed_at >= CLAIM_S
                if not is_expired and not self._store.is_gone(str(kept.text("renewed_by"))):
                    if kept.is_usable(now, refused):  # another process renews it in time
                        self._hold(kept, POLL_S)
                        return
                    self._timing.sleep(POLL_S)
                    continue
                log.warning("a renewal of an access token was not finished: taking it over")
            try:
                version = self._store.write(
                    self.grant.key, {**kept.document, "renewed_by": self._store.owner()}, kept.version
                )
            except StateConflict:
                continue
            if self._renew(_Kept(kept.document, version), refused):
                return

    def _hold(self, kept: _Kept, seconds: float) -> None:
        """Uses the token on, and does not look for a newer one meanwhile."""
        self._kept = kept
        self._held_until = self._timing.monotonic() + seconds

    def _refuse_quick_end(self, kept: _Kept, refused: str | None, now: float) -> None:
        """Raises `SourceDenied` where one token after the other is refused just after it was issued: another one would be, too."""
        if refused is None or kept.text("access_token") != refused:
            return
        if kept.number("quick_ends") >= MOST_QUICK_ENDS and self._is_quick_end(kept, now):
            raise SourceDenied("access tokens are refused just after they are issued", hint=_GRANT_HINT)

    def _is_quick_end(self, kept: _Kept, now: float) -> bool:
        return now - kept.number("issued_at") < min(QUICK_END_S, kept.life_s / 4)

    def _renew(self, claim: _Kept, refused: str | None) -> bool:
        """Whether the token of before is used on; else the store has another one to look at."""
        refresh_token = claim.text("refresh_token") or self.grant.refresh_token
        reached("token:before-exchange")
        try:
            issued = self._exchange(self.grant.request(refresh_token))
        except IngestError as error:
            self._release(claim)
            if isinstance(error, SourceDenied):
                if self._read().document != claim.document:  # another process took the claim over, and has written
                    return False
            elif claim.is_usable(self._timing.wall(), refused):
                log.warning("an access token was not renewed, and is used on: %s", error.message)
                self._hold(claim, HOLD_S)
                return True
            raise
        reached("token:after-exchange")
        logs.hide(issued.access_token)
        if issued.refresh_token:
            logs.hide(issued.refresh_token)
        now = self._timing.wall()
        document: dict[str, JsonValue] = {
            "access_token": issued.access_token,
            "refresh_token": issued.refresh_token or refresh_token,
            "issued_at": now,
            "ends_at": now + issued.life_s,
            "life_s": issued.life_s,
            "scope": issued.scope,
            "quick_ends": claim.number("quick_ends") + 1 if refused and self._is_quick_end(claim, now) else 0,
        }
        self._write(document, claim)
        return False

    def _write(self, document: Mapping[str, JsonValue], claim: _Kept) -> None:
        """Where another process took the claim over, the tokens that are written first are the ones that all use."""
        version = claim.version
        while True:
            try:
                self._store.write(self.grant.key, document, version)
                return
            except StateConflict:
                found = self._read()
                if found.document.get("access_token") != claim.document.get("access_token"):
                    return
                version = found.version

    def _release(self, claim: _Kept) -> None:
        try:
            self._store.write(self.grant.key, claim.document, claim.version)
        except StateConflict:  # taken over
            return

    def _read(self) -> _Kept:
        found = self._store.read(self.grant.key)
        if found is None:
            return _Kept({}, 0)
        kept = _Kept(*found)
        for name in ("access_token", "refresh_token"):
            if (text := kept.text(name)) is not None:
                logs.hide(text)
        return kept


_GRANT_HINT = "authorize the app again and set 'refresh_token', or check 'client_id' and 'client_secret'"
