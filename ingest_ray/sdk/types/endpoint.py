"""A configured source or sink, and the report of a connection test."""

from typing import Literal

from pydantic import Field, JsonValue, PrivateAttr

from ingest_ray.sdk.secret_store import SecretStore
from ingest_ray.sdk.types.model import Model


class Endpoint(Model):
    """A configured source or sink. Secrets in `config` are references or ciphertext until `secrets.resolve`."""

    endpoint_id: str
    template: str
    config: dict[str, JsonValue] = Field(default_factory=dict)
    _secret_store: SecretStore | None = PrivateAttr(None)

    @property
    def secret_store(self) -> SecretStore | None:
        """Where secrets that change by themselves are kept; None: nowhere, so they are lost with this process."""
        return self._secret_store

    def with_secret_store(self, store: SecretStore) -> "Endpoint":
        copy = self.model_copy()
        copy._secret_store = store
        return copy


class Diagnostic(Model):
    level: Literal["info", "warning", "error"]
    code: str
    message: str
    hint: str | None = None


class ConnectionReport(Model):
    ok: bool
    version: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
