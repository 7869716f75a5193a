"""Verifies JSON Web Tokens of an identity provider: signature, issuer, audience and times by PyJWT; the role from a claim.

Only asymmetric algorithms: with a symmetric one, everyone who knows the provider's public key could sign.
https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
"""

import threading
import time
from typing import Any

import jwt

from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.service.access.roles import Principal, Role
from ingest_ray.settings import OidcSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
REFRESH_S = (
    30.0  # an unknown key id causes a request for new keys, at most this often: else any client could cause requests
)


class TokenVerifier:
    """Verifies tokens; caches the provider's keys for 300 seconds."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._client = jwt.PyJWKClient(settings.jwks_url, cache_keys=False, lifespan=300, timeout=10)
        self._lock = threading.Lock()
        self._requested_at = float("-inf")

    def principal_of(self, token: str) -> Principal:
        """Raises `Unauthenticated`."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(token),
                algorithms=list(ALGORITHMS),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.clock_skew_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise Unauthenticated(
                "the keys of the identity provider cannot be fetched", hint=f"is {self._settings.jwks_url} reachable?"
            ) from None
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not valid: {type(error).__name__}") from None
        name = str(claims.get("preferred_username") or claims["sub"])
        expires_at = float(claims["exp"]) + self._settings.clock_skew_s
        return Principal(name=name, role=self._role(claims), expires_at=expires_at, endpoints=self._endpoints(claims))

    def _key(self, token: str) -> Any:
        wanted = jwt.get_unverified_header(token).get("kid")
        key = self._find(wanted, is_fresh=False)
        if key is None:
            with self._lock:
                may_request = time.monotonic() - self._requested_at >= REFRESH_S
                self._requested_at = time.monotonic() if may_request else self._requested_at
            key = self._find(wanted, is_fresh=True) if may_request else None
        if key is None:
            raise jwt.InvalidTokenError("unknown key")
        return key

    def _find(self, wanted: str | None, *, is_fresh: bool) -> Any:
        keys = [key for key in self._client.get_jwk_set(refresh=is_fresh).keys if key.public_key_use in ("sig", None)]
        if wanted is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.key_id == wanted), None)

    def _role(self, claims: dict[str, Any]) -> Role:
        """Raises `Unauthenticated` for a token that names no role of this service: it was made for another one."""
        names = set(_texts(claims.get(self._settings.role_claim)))
        accepted_by_role = (
            (Role.ADMIN, self._settings.admins),
            (Role.OPERATOR, self._settings.operators),
            (Role.VIEWER, self._settings.viewers),
        )
        for role, accepted in accepted_by_role:
            if names & set(accepted):
                return role
        raise Unauthenticated(f"the token's claim '{self._settings.role_claim}' names no role of this service")

    def _endpoints(self, claims: dict[str, Any]) -> tuple[str, ...] | None:
        """None, all, where no claim names them; a token without the claim is for none."""
        claim = self._settings.endpoints_claim
        return None if claim is None else tuple(_texts(claims.get(claim)))


def _texts(claimed: Any) -> list[str]:
    return [item for item in (claimed if isinstance(claimed, list) else [claimed]) if isinstance(item, str) and item]
