"""How one installation is set up: where state, staging and Ray are. Small and JSON-serializable: jobs carry it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from ingest_ray.sdk.types import Model

MIB = 1024 * 1024

Reference = Annotated[str, StringConstraints(pattern=r"^(env|file):.+")]
"""Where a secret is, `env:NAME` or `file:/path`: settings travel with jobs, so they never hold one."""


class StagingSettings(Model):
    provider: Literal["auto", "files", "object-store"] = "auto"
    uri: str | None = None
    """Root of `files`: a local path or any URI of `pyarrow.fs`. None: `<home>/staging`."""
    cap_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    """`object-store` refuses more than this per run."""
    page_bytes: Annotated[int, Field(ge=64 * 1024)] = 8 * MIB


class RaySettings(Model):
    address: str = "local"
    """`local`, the address of a cluster, or `job`: the cluster of the Ray job that this process is the entrypoint of."""
    inline_below: Annotated[int, Field(ge=0)] = 512 * MIB
    """A plan with fewer estimated bytes runs in the calling process when no cluster is attached: about what its threads read
    while a cluster of one machine would start and stop."""
    inline_threads: Annotated[int, Field(ge=1)] | None = None
    """Slices that the calling process reads at once. None: one per core, at most four, and one where there is little to read; behind
    HTTP three per core."""
    num_cpus: Annotated[int, Field(ge=1)] | None = None
    object_store_bytes: Annotated[int, Field(gt=0)] = 256 * MIB
    reader_labels: dict[str, str] = Field(default_factory=dict)
    """Readers run only on nodes with these labels, in Ray's own spelling: `{zone: in(a, b), spot: "!true"}`."""
    reader_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """What each reader takes of custom resources, such as `{database_link: 0.25}`."""
    actor_labels: dict[str, str] = Field(default_factory=dict)
    """Planner, state and sinks run only on such nodes: not on ones that may be taken away."""
    readers: Annotated[int, Field(ge=1)] | None = None
    """Readers at once. None: as many as the cluster has CPUs for when the run begins; one that grows must be told."""
    jobs_url: str | None = None
    """The cluster's dashboard, whose Jobs API takes runs: `http://head:8265`."""
    token: Reference | None = None
    """What the dashboard asks for. None: `RAY_AUTH_TOKEN`, where that is set."""
    job_python: str = "python"
    """The interpreter on the cluster that has ingest-ray installed."""
    job_runtime_env: dict[str, JsonValue] = Field(default_factory=dict)
    """Ray's runtime environment of a run's job, such as `{env_vars: {...}}`. Everybody who sees the dashboard sees it."""
    stop_wait_s: Annotated[int, Field(ge=1)] = 300
    """How long a job that is stopped may take to finish its commit before Ray kills it."""


class TemporalSettings(Model):
    address: str = "localhost:7233"
    namespace: str = "default"
    task_queue: str = "ingest"
    tls: bool = False
    api_key: Reference | None = None
    activities_at_once: Annotated[int, Field(ge=1)] = 100
    """Of one worker. An activity only watches its Ray job, so this bounds no load."""


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
    temporal: TemporalSettings = TemporalSettings()
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

    @property
    def documents_uri(self) -> str:
        """What is too large for a message: manifests of runs, rows of previews."""
        return str(Path(self.home) / "documents")
