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
    inline_below: Annotated[int, Field(ge=0)] = 512 * MIB
    """A plan with fewer estimated bytes runs in the calling process when no cluster is attached: about what its threads read
    while a cluster of one machine would start and stop (docs/scaling.md)."""
    inline_threads: Annotated[int, Field(ge=1)] | None = None
    """Slices that the calling process reads at once. None: one per core, at most four, and one where there is little to read."""
    num_cpus: Annotated[int, Field(ge=1)] | None = None
    object_store_bytes: Annotated[int, Field(gt=0)] = 256 * MIB


class Settings(Model):
    home: str
    state_url: str
    """SQLAlchemy URL of the catalog, and of the KV unless `kv_url` is set."""
    kv_url: str | None = None
    staging: StagingSettings = StagingSettings()
    ray: RaySettings = RaySettings()
    staged_budget_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    """What may be staged and not yet committed, per run."""

    @property
    def staging_uri(self) -> str:
        return self.staging.uri or str(Path(self.home) / "staging")

    @property
    def quarantine_uri(self) -> str:
        return str(Path(self.home) / "quarantine")
