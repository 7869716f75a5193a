"""Authenticates requests: by a bearer token, by a session cookie that was issued for one, or as anonymous."""

import ipaddress
import secrets
import time

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

    def principal_of(self, connection: HTTPConnection) -> Principal:
        """Blocks: reads the catalog. Raises `Unauthenticated`."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("only bearer tokens are accepted", hint="Authorization: Bearer TOKEN")
            return self.principal_of_secret(token.strip())
        cookie = connection.cookies.get(COOKIE)
        if cookie is not None and (session := self.session_of(cookie)) is not None:
            return self._current_principal(session)
        if self._settings.anonymous != "none" and is_local(connection):
            return Principal(name="anonymous", role=Role(self._settings.anonymous))
        raise Unauthenticated("no credentials were sent", hint="Authorization: Bearer TOKEN")

    def principal_of_secret(self, token: str) -> Principal:
        """The token is one of this installation, or of the identity provider. Raises `Unauthenticated`."""
        logs.hide(token)
        if self._verifier is not None and not token.startswith(PREFIX) and token.count(".") == 2:
            return self._verifier.principal_of(token)
        return principal_of_token(self._installation, token)

    def new_session(self, principal: Principal) -> str:
        session = Session(principal=principal, expires_at=time.time() + SESSION_S)
        return str(self._signer.dumps(session.model_dump_json()))

    def session_of(self, cookie: str) -> Session | None:
        try:
            session = Session.model_validate_json(self._signer.loads(cookie))
        except (BadSignature, ValidationError):
            return None
        return session if session.expires_at > time.time() else None

    def _current_principal(self, session: Session) -> Principal:
        token_id = session.principal.token_id
        return session.principal if token_id is None else principal_of_token_id(self._installation, token_id)


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
