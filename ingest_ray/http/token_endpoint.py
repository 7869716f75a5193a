"""Exchanges a refresh token or client credentials at a token endpoint, and keeps one set of tokens per process.

Atlassian Cloud takes JSON: https://developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens
Data Center takes a form: https://confluence.atlassian.com/enterprise/service-accounts-overview-1627095923.html
"""

import json
import threading
from collections.abc import Mapping
from typing import Any

from urllib3 import exceptions

from ingest_ray import logs
from ingest_ray.http import rate_limit_headers, timing
from ingest_ray.http.access_tokens import DEFAULT_LIFE_S, AccessTokens, IssuedToken, TokenGrant
from ingest_ray.http.decompression import ACCEPTED, decoded
from ingest_ray.http.request import Base
from ingest_ray.http.request_spans import note_answer, request_span
from ingest_ray.http.transport import Transport, give_back, received
from ingest_ray.sdk.errors import SourceDenied, SourceUnavailable, StateConflict
from ingest_ray.sdk.secret_store import SecretStore

TRIES = 4
FIRST_WAIT_S = 0.5
MOST_WAIT_S = 10.0
MOST_BYTES = 1024 * 1024  # of a document of tokens
_HINT = "check 'client_id' and 'client_secret'; authorize the app again where its refresh token is not accepted"


class SecretsOfProcess:
    """A store for use without an installation: what is renewed is lost with the process."""

    identity = "this process"

    def __init__(self) -> None:
        self._documents: dict[str, tuple[Mapping[str, Any], int]] = {}
        self._lock = threading.Lock()

    def read(self, key: str) -> tuple[Mapping[str, Any], int] | None:
        return self._documents.get(key)

    def write(self, key: str, document: Mapping[str, Any], if_version: int) -> int:
        with self._lock:
            found = self._documents.get(key)
            if (found[1] if found else 0) != if_version:
                raise StateConflict(f"{key}: another thread wrote it")
            self._documents[key] = (dict(document), if_version + 1)
            return if_version + 1

    def owner(self) -> str:
        return self.identity

    def is_gone(self, owner: str) -> bool:
        return False


_of_process = SecretsOfProcess()
_tokens: dict[tuple[str, str], AccessTokens] = {}
_lock = threading.Lock()


def access_tokens(grant: TokenGrant, transport: Transport, store: SecretStore | None, *, as_form: bool) -> AccessTokens:
    """The one object of this process for the grant and the store."""
    kept = store or _of_process
    clocks = timing.current()

    def exchange(body: Mapping[str, str]) -> IssuedToken:
        return exchange_tokens(grant.token_url, body, transport, clocks, as_form=as_form)

    with _lock:
        key = (grant.key, kept.identity)
        if key not in _tokens:
            _tokens[key] = AccessTokens(grant, kept, exchange, clocks)
        return _tokens[key]


def exchange_tokens(
    url: str, body: Mapping[str, str], transport: Transport, clocks: timing.Timing, *, as_form: bool
) -> IssuedToken:
    """Raises:
    SourceDenied: the endpoint refuses the client or its refresh token.
    SourceUnavailable: no answer after all tries.
    """
    wait_s, reason = FIRST_WAIT_S, ""
    requested_s: float | None = None
    base = Base(url, {"Accept": "*/*", "User-Agent": "ingest_ray", "Accept-Encoding": ACCEPTED})
    with transport.open(1) as http:
        for attempt in range(TRIES):
            if attempt:
                clocks.sleep(min(MOST_WAIT_S, max(wait_s * 2 ** (attempt - 1), requested_s or 0.0)))
            try:
                request = base.post_form(url, body) if as_form else base.post_json(url, body)
                with request_span(request, None, attempt) as span:
                    answer = http.send(request)
                    try:
                        content = decoded(received(answer), answer.headers.get("content-encoding", ""), MOST_BYTES)
                    finally:
                        give_back(answer)
                    note_answer(span, answer.status, len(content))
            except (exceptions.HTTPError, ValueError) as error:
                reason = f"{type(error).__name__}: {logs.scrub(str(error))}"
                continue
            if answer.status == 429 or answer.status >= 500:
                reason = str(answer.status)
                requested_s = rate_limit_headers.read(answer.status, answer.headers).wait_s
                continue
            return issued_token(url, answer.status, content)
    raise SourceUnavailable(f"POST {url}: {reason}", retry_after_s=requested_s)


def issued_token(url: str, status: int, body: bytes) -> IssuedToken:
    """https://datatracker.ietf.org/doc/html/rfc6749#section-5"""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SourceDenied(
            f"POST {url}: {status}, and no token document", hint="check the address of the token endpoint"
        )
    token = document.get("access_token")
    if status >= 300 or not isinstance(token, str) or not token:
        said = [str(document[name]) for name in ("error", "error_description", "message") if document.get(name)]
        raise SourceDenied(logs.scrub(f"POST {url}: {status}: {': '.join(said) or 'no access token'}"), hint=_HINT)
    return IssuedToken(
        access_token=token,
        life_s=_seconds(document.get("expires_in")),
        refresh_token=document.get("refresh_token") if isinstance(document.get("refresh_token"), str) else None,
        scope=document.get("scope") if isinstance(document.get("scope"), str) else None,
    )


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        return DEFAULT_LIFE_S
    return seconds if 0 < seconds < 1e9 else DEFAULT_LIFE_S
