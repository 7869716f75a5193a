"""Secrets that change by themselves, sealed in the KV: `login::<grant>` has the tokens of one OAuth 2.0 client.

These documents are in no backup, and a restore leaves them: a refresh token of before is worth nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue, ValidationError

from ingest_ray.kv import open_state
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import StateConflict, StateUnreadable
from ingest_ray.sdk.types import Endpoint
from ingest_ray.secrets import resolve
from ingest_ray.secrets.keyring import Keyring
from ingest_ray.settings import Settings
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import this_process

PREFIX = "login::"
SCHEMA = 1


@dataclass(frozen=True)
class SealedSecrets:
    """The secret store of an installation. Equal for equal installations; connects on first use."""

    settings: Settings

    @property
    def identity(self) -> str:
        return self.settings.kv_url or self.settings.state_url

    @cached_property
    def _kv(self) -> KV:
        return open_state(self.settings)

    def read(self, key: str) -> tuple[Mapping[str, JsonValue], int] | None:
        found = self._kv.get(PREFIX + key)
        if found is None:
            return None
        keys = Keyring(self.settings, creates=False)
        document = json.loads(keys.open(sealed_text(PREFIX + key, found[0]), "a stored access token"))
        return document, found[1]

    def write(self, key: str, document: Mapping[str, JsonValue], if_version: int) -> int:
        keys = Keyring(self.settings, creates=not if_version)
        sealed = keys.seal(json.dumps(dict(document)))
        return self._kv.put(PREFIX + key, {"schema": SCHEMA, "sealed": sealed}, if_version)

    def owner(self) -> str:
        return this_process().model_dump_json()

    def is_gone(self, owner: str) -> bool:
        try:
            known = Owner.model_validate_json(owner)
        except ValidationError:
            return False
        now = this_process(known.pid)
        return now.host == known.host and now.started != known.started


def open_source(endpoint: Endpoint, settings: Settings, *, run_id: str | None = None) -> Endpoint:
    """The endpoint with plain secrets (see `secrets.resolve`) and the store of those that change; never leaves this process."""
    return resolve(endpoint, settings, run_id=run_id).with_secret_store(SealedSecrets(settings))


def sealed_text(key: str, value: Mapping[str, JsonValue]) -> str:
    if value.get("schema") != SCHEMA or not isinstance(value.get("sealed"), str):
        raise StateUnreadable(f"{key} has an unknown schema number", hint="use the version that wrote it")
    return str(value["sealed"])


def reseal(kv: KV, keys: Keyring) -> int:
    """Seals every stored secret with the first key; returns their number."""
    count = 0
    for key, _, _ in list(kv.scan(PREFIX)):
        count += any(_resealed(kv, key, keys))
    return count


def _resealed(kv: KV, key: str, keys: Keyring) -> Iterator[bool]:
    while (found := kv.get(key)) is not None:
        try:
            kv.put(key, {**found[0], "sealed": keys.reseal(sealed_text(key, found[0]))}, found[1])
        except StateConflict:  # renewed meanwhile
            continue
        yield True
        return
