"""Authenticates requests: by a bearer token, by a session cookie that was issued for one, or as anonymous."""

import ipaddress
import secrets
import time
from collections import OrderedDict

from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import Field, ValidationError
from starlette.requests import HTTPConnection

from ingest_ray import logs
from ingest_ray.sdk.errors import ConfigError, Unauthenticated
from ingest_ray.sdk.types import Model
from ingest_ray.service.access.oidc import TokenVerifier
from ingest_ray.service.access.roles import Principal, Role
from ingest_ray.service.access.tokens import PREFIX, principal_of_token, principal_of_token_id
from ingest_ray.service.installation import Installation

COOKIE = "ingest_session"
SESSION_S = 12 * 3600
MOST_TOKEN_BYTES = 4096
RENEW_S = 2.0  # a principal is verified again at most this often: a revoked token ends that much later
MOST_ENDED = 10_000  # sessions that were ended by their users and have not expired
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Session(Model):
    """The content of a browser's cookie, signed by the server."""

    principal: Principal
    expires_at: float = Field(gt=0)


class Authenticator:
    """Sessions end with the server: it creates the key that signs them when it starts."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._settings = installation.settings.serve
        self._signer = URLSafeSerializer(secrets.token_hex(32), salt="session")
        self._verifier = TokenVerifier(self._settings.oidc) if self._settings.oidc is not None else None
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._renewed: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    def principal_of(self, connection: HTTPConnection) -> Principal:
        """Blocks: reads the catalog. Raises `Unauthenticated`."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("only bearer tokens are accepted", hint="Authorization: Bearer TOKEN")
            return self.principal_of_secret(token.strip())
        cookie = connection.cookies.get(COOKIE)
        if cookie is not None and (session := self.session_of(cookie)) is not None:
            return self.renew(session.principal, most_age_s=0)
        if self._settings.anonymous != "none" and is_local(connection):
            return Principal(name="anonymous", role=Role(self._settings.anonymous))
        raise Unauthenticated("no credentials were sent", hint="Authorization: Bearer TOKEN")

    def principal_of_secret(self, token: str) -> Principal:
        """The token is one of this installation, or of the identity provider. Raises `Unauthenticated`."""
        if len(token.encode("utf-8", "replace")) > MOST_TOKEN_BYTES:
            raise Unauthenticated(f"a token has at most {MOST_TOKEN_BYTES} bytes")
        if self._verifier is not None and not token.startswith(PREFIX) and token.count(".") == 2:
            principal = self._verifier.principal_of(token)
        else:
            principal = principal_of_token(self._installation, token)
        logs.hide(token)  # only now: the words of wrong tokens would be hidden for everyone
        return principal

    def renew(self, principal: Principal, most_age_s: float = RENEW_S) -> Principal:
        """The principal as it is now: the role of a token may have changed. Reads the catalog unless that was done `most_age_s` ago.

        Raises:
            Unauthenticated: the token was revoked or has expired, or the session was ended.
        """
        if principal.session_id in self._ended:
            raise Unauthenticated("the session has ended", hint="log in again")
        if principal.expires_at is not None and principal.expires_at <= time.time():
            raise Unauthenticated("the token has expired", hint="log in again")
        if principal.token_id is None:
            return principal
        renewed_at, current = self._renewed.get(principal.token_id, (float("-inf"), principal))
        if time.monotonic() - renewed_at >= most_age_s:
            self._renewed.pop(principal.token_id, None)
            current = principal_of_token_id(self._installation, principal.token_id)
            self._renewed[principal.token_id] = (time.monotonic(), current)
            while len(self._renewed) > MOST_ENDED:
                self._renewed.popitem(last=False)
        return current.model_copy(update={"session_id": principal.session_id, "expires_at": principal.expires_at})

    def new_session(self, principal: Principal) -> tuple[str, float]:
        """The cookie, and how long it is valid in seconds: as long as the token, at most `SESSION_S`."""
        now = time.time()
        expires_at = min(now + SESSION_S, principal.expires_at or float("inf"))
        principal = principal.model_copy(update={"session_id": secrets.token_hex(16), "expires_at": expires_at})
        session = Session(principal=principal, expires_at=expires_at)
        return str(self._signer.dumps(session.model_dump_json())), expires_at - now

    def end_session(self, cookie: str) -> None:
        """Ends it for every browser and socket that has the cookie."""
        session = self.session_of(cookie)
        if session is not None and session.principal.session_id is not None:
            self._ended[session.principal.session_id] = None
            while len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)

    def session_of(self, cookie: str) -> Session | None:
        try:
            session = Session.model_validate_json(self._signer.loads(cookie))
        except (BadSignature, ValidationError):
            return None
        return session if session.expires_at > time.time() else None


def is_local(connection: HTTPConnection) -> bool:
    """The client and the requested host are this machine. A foreign site whose name resolves to this machine sends its own host."""
    client = connection.client.host if connection.client is not None else ""
    return is_loopback(client) and (connection.url.hostname or "") in LOOPBACK


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_anonymous_access(installation: Installation, host: str) -> None:
    """Raises `ConfigError` if anonymous access is on and `host` is no loopback address."""
    anonymous = installation.settings.serve.anonymous
    if anonymous != "none" and not is_loopback(host):
        raise ConfigError(
            f"serve.anonymous is '{anonymous}', and '{host}' is no loopback address",
            hint="serve.anonymous: none, and make tokens; or listen on 127.0.0.1",
        )
