"""A configured source or sink, and the report of a connection test."""

from typing import Literal

from pydantic import Field, JsonValue

from ingest_ray.sdk.types.model import Model


class Endpoint(Model):
    """A configured source or sink. Secrets in `config` are references or ciphertext until `secrets.resolve`."""

    endpoint_id: str
    template: str
    config: dict[str, JsonValue] = Field(default_factory=dict)


class Diagnostic(Model):
    level: Literal["info", "warning", "error"]
    code: str
    message: str
    hint: str | None = None


class ConnectionReport(Model):
    ok: bool
    version: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
