"""Creates, lists, revokes and recognizes bearer tokens. A token is shown once; only its SHA-256 is stored."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ingest_ray import logs
from ingest_ray.catalog import stored_tokens
from ingest_ray.catalog.stored_tokens import StoredToken
from ingest_ray.sdk.errors import ConfigError, Unauthenticated
from ingest_ray.sdk.types import Model
from ingest_ray.service.access.roles import Principal, Role
from ingest_ray.service.installation import Installation

PREFIX = "ingest_"  # lets scanners for leaked secrets recognize a token


class NewToken(Model):
    """`token` is shown here and nowhere else."""

    token: str
    stored: StoredToken


class Tokens(Model):
    tokens: tuple[StoredToken, ...] = ()


def create_token(
    installation: Installation,
    name: str,
    role: Role,
    days: int | None = None,
    endpoints: Sequence[str] | None = None,
) -> NewToken:
    """`endpoints`: ids and patterns of those that the token is for; None: all.

    Creates a token of 256 random bits. They need no slow hash: they cannot be guessed, neither directly nor from a digest."""
    if not name.strip():
        raise ConfigError("a token needs a name: whose it is")
    token = PREFIX + secrets.token_urlsafe(32)
    logs.hide(token)
    moment = datetime.now(UTC)
    stored = StoredToken(
        token_id=secrets.token_hex(4),
        name=name.strip(),
        role=role.value,
        created_at=moment.isoformat(timespec="seconds"),
        expires_at=(moment + timedelta(days=days)).isoformat(timespec="seconds") if days is not None else None,
        endpoints=tuple(endpoints) if endpoints is not None else None,
    )
    with installation.catalog.begin() as connection:
        stored_tokens.add(connection, stored, _digest(token))
    return NewToken(token=token, stored=stored)


def list_tokens(installation: Installation) -> Tokens:
    with installation.catalog.read() as connection:
        return Tokens(tokens=tuple(stored_tokens.listed(connection)))


def revoke_token(installation: Installation, token_id: str) -> StoredToken:
    with installation.catalog.begin() as connection:
        stored_tokens.revoke(connection, token_id)
        found = stored_tokens.find(connection, token_id)
    if found is None:
        raise ConfigError(f"there is no token '{token_id}'", hint="ingest-ray token list shows them")
    return found


def principal_of_token(installation: Installation, token: str) -> Principal:
    """Raises `Unauthenticated`, with the same message for an unknown, an expired and a revoked token."""
    with installation.catalog.read() as connection:
        found = stored_tokens.by_digest(connection, _digest(token))
    return _valid_principal(found)


def principal_of_token_id(installation: Installation, token_id: str) -> Principal:
    """The principal of a token that was verified before. Raises `Unauthenticated`."""
    with installation.catalog.read() as connection:
        found = stored_tokens.find(connection, token_id)
    return _valid_principal(found)


def _valid_principal(found: StoredToken | None) -> Principal:
    is_good = found is not None and found.revoked_at is None
    if (
        found is None
        or not is_good
        or (found.expires_at and datetime.fromisoformat(found.expires_at) <= datetime.now(UTC))
    ):
        raise Unauthenticated("the token is not valid", hint="ingest-ray token create makes a new one")
    return Principal(name=found.name, role=Role(found.role), token_id=found.token_id, endpoints=found.endpoints)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
