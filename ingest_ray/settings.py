"""How one installation is set up: where state, staging and Ray are. Small and JSON-serializable: jobs carry it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ingest_ray.models import Model

MIB = 1024 * 1024


class StagingSettings(Model):
    provider: Literal["auto", "files", "object-store"] = "auto"
    uri: str | None = None
    """Root of `files`: a local path or any URI of `pyarrow.fs`. None: `<home>/staging`."""
    cap_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    """`object-store` refuses more than this per run."""
    page_bytes: Annotated[int, Field(ge=64 * 1024)] = 8 * MIB


class RaySettings(Model):
    address: str = "local"
    inline_below: Annotated[int, Field(ge=0)] = 64 * MIB
    """A plan with fewer estimated bytes runs in the calling process when no cluster is attached."""
    num_cpus: Annotated[int, Field(ge=1)] | None = None
    object_store_bytes: Annotated[int, Field(gt=0)] = 256 * MIB


class OidcSettings(Model):
    """An identity provider whose tokens are accepted beside those of this installation."""

    issuer: str
    audience: str
    jwks_url: str
    role_claim: str = "roles"
    admins: tuple[str, ...] = ("admin",)
    """Values of the claim that make an admin; `viewers` may look."""
    viewers: tuple[str, ...] = ("viewer",)
    clock_skew_s: Annotated[int, Field(ge=0, le=300)] = 30


class ScheduleSettings(Model):
    enabled: bool = True
    catch_up: Literal["once", "skip"] = "once"
    """After the server was down: one run for all the slots that were missed, or none."""
    max_jitter_s: Annotated[int, Field(ge=0)] = 300
    max_runs: Annotated[int, Field(ge=1, le=1000)] = 4
    """No scheduled run starts while so many runs go on."""


class ServeSettings(Model):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8400
    anonymous: Literal["none", "viewer", "admin"] = "none"
    """Who somebody without a token is. Only on a loopback address."""
    oidc: OidcSettings | None = None
    allowed_origins: tuple[str, ...] = ()
    """Other sites whose pages may call this server from a browser."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    requests_per_minute: Annotated[int, Field(ge=1)] = 1_200
    """Of one address."""
    max_depth: Annotated[int, Field(ge=3)] = 10
    max_cost: Annotated[int, Field(ge=100)] = 100_000
    """Fields that one query may make the server answer, at most, by its arguments."""
    schedules: ScheduleSettings = ScheduleSettings()


class Settings(Model):
    home: str
    state_url: str
    """SQLAlchemy URL of the catalog, and of the KV unless `kv_url` is set."""
    kv_url: str | None = None
    staging: StagingSettings = StagingSettings()
    ray: RaySettings = RaySettings()
    staged_budget_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    """What may be staged and not yet committed, per run."""
    launcher: Literal["in-process", "ray-job", "temporal"] = "in-process"
    """What carries out the runs that the service starts."""
    serve: ServeSettings = ServeSettings()

    @property
    def staging_uri(self) -> str:
        return self.staging.uri or str(Path(self.home) / "staging")

    @property
    def quarantine_uri(self) -> str:
        return str(Path(self.home) / "quarantine")
