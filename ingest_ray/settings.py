"""The settings of one installation: state, staging, Ray, Temporal, server. Small and JSON-serializable: jobs carry them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from ingest_ray.sdk.location import Location
from ingest_ray.sdk.types import Model
from ingest_ray.sdk.types.unit import Duration
from ingest_ray.sdk.url_credentials import is_secret_name, plain_uri

MIB = 1024 * 1024

Reference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.+-]*:[^/].*|^file:.+")]
"""A reference to a secret, such as `env:NAME`, `file:/path` or `vault:path#field`: settings travel with jobs, so they never hold a secret."""


SEALABLE = (("state_url",), ("kv_url",), ("ray", "jobs_url"))
"""The URLs that may have a password: they are stored as `sealed:...` or as references, and opened by `secrets.open_url`. A password in
any other text of the settings is refused."""


SecretSource = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*:.+")]
"""A pattern of references to secrets, such as `env:SHOP_*` or `file:/run/secrets/*`."""


_PLAIN_OPTION = re.compile(r"_(file|path|enabled|kms_key_id|skip_signature)$", re.IGNORECASE)
_SECRET_WORDS = frozenset(("key", "secret", "token", "password", "sas", "credential", "credentials", "signature"))


def _is_secret_option(name: str) -> bool:
    """Whether an option of an object store holds a secret: more names count as secret than are."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return not _PLAIN_OPTION.search(name) and (is_secret_name(name) or bool(words & _SECRET_WORDS))


class StoreAddress(Model):
    """A folder, or a place in an object store."""

    uri: str | None = None
    storage_options: dict[str, str] = Field(default_factory=dict)
    """Of an object store, as https://docs.rs/object_store names them. Secrets among them are references: `env:NAME`, `file:/path`."""

    @field_validator("uri")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        return value if value is None else plain_uri(value)

    @field_validator("storage_options")
    @classmethod
    def _without_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if _is_secret_option(name) and not _REFERENCE.match(text):
                raise ValueError(f"'{name}' is a secret: give a reference, such as env:NAME or file:/path")
            plain_uri(text)
        return value


class StagingSettings(StoreAddress):
    """`uri`: root of `files`: a local path, an object store (`s3://`, `gs://`, `az://`) or another URI of `pyarrow.fs`. None: below
    `shared.uri`, else `<home>/staging`."""

    provider: Literal["auto", "files", "object-store"] = "auto"
    cap_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    """`object-store` refuses more than this per run."""
    page_bytes: Annotated[int, Field(ge=64 * 1024)] = 8 * MIB


class SharedSettings(StoreAddress):
    """What machines that share no folder must all find: quarantine, documents, and staged pages. None: all in `home`."""


class RaySettings(Model):
    address: str = "local"
    """`local`, the address of a cluster, or `job`: the cluster of the Ray job that this process is the entrypoint of."""
    inline_below: Annotated[int, Field(ge=0)] = 512 * MIB
    """A plan with fewer estimated bytes runs in the calling process when no cluster is attached: about what its threads read while
    a local cluster would start and stop."""
    inline_threads: Annotated[int, Field(ge=1)] | None = None
    """Slices that the calling process reads at once. None: one per core, at most four; one for small plans; three per core for HTTP
    sources."""
    num_cpus: Annotated[int, Field(ge=1)] | None = None
    object_store_bytes: Annotated[int, Field(gt=0)] = 256 * MIB
    reader_labels: dict[str, str] = Field(default_factory=dict)
    """Readers run only on nodes with these labels, in Ray's own spelling: `{zone: in(a, b), spot: "!true"}`."""
    reader_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """The custom resources that each reader takes, such as `{database_link: 0.25}`."""
    actor_labels: dict[str, str] = Field(default_factory=dict)
    """Planner, state and sinks run in actors on nodes with these labels only: not on preemptible ones. None: in the driver, where Ray
    has one machine."""
    readers: Annotated[int, Field(ge=1)] | None = None
    """Readers at once. None: as many as the cluster has CPUs when the run begins; set it for a cluster that grows."""
    jobs_url: str | None = None
    """The URL of the cluster's dashboard, whose Jobs API takes runs: `http://head:8265`. Sealed where it has a password, or a
    reference."""
    token: Reference | None = None
    """The token of the dashboard. None: `RAY_AUTH_TOKEN`, where that is set."""
    ca: Reference | None = None
    """The authorities that the dashboard's certificate is checked by, as a PEM text: `file:/etc/ca.pem`. None: those of the system."""
    job_python: str = "python"
    """The interpreter on the cluster that has ingest-ray installed."""
    job_runtime_env: dict[str, JsonValue] = Field(default_factory=dict)
    """Ray's runtime environment of a run's job, such as `{env_vars: {...}}`. It is visible to every user of the dashboard."""
    stop_wait_s: Annotated[int, Field(ge=1)] = 300
    """How long a stopped job may take to finish its commit before Ray kills it."""


class TemporalTls(Model):
    """References to PEM texts, which are read again when a connection is made, and by a worker every minute."""

    ca: Reference | None = None
    """The authorities that the server's certificate is checked by; None: those of the system."""
    certificate: Reference | None = None
    """What the client shows: mutual TLS. `key` belongs to it."""
    key: Reference | None = None
    server_name: str | None = None
    """The name that the server's certificate must have, where it is not that of the address."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        return self


class TemporalDeployment(Model):
    """Worker versioning: runs stay with the version that began them; https://docs.temporal.io/worker-versioning."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")] = "ingest-ray"
    build_id: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """None: the version of ingest-ray."""
    behavior: Literal["pinned", "auto-upgrade"] = "auto-upgrade"
    """What becomes of workflows that go on while another version becomes the current one."""


class TemporalSettings(Model):
    """What is None is taken from `TEMPORAL_*` variables, else from a profile: https://docs.temporal.io/develop/environment-configuration."""

    address: str | None = None
    namespace: str | None = None
    profile: str | None = None
    """Of the profile file. None: `TEMPORAL_PROFILE`, else `default`."""
    config_file: str | None = None
    """The profile file. None: `TEMPORAL_CONFIG_FILE`, else the one in the user's folder."""
    task_queue: str = "ingest"
    tls: bool | TemporalTls | None = None
    api_key: Reference | None = None
    deployment: TemporalDeployment | None = None
    """None: the worker has no version."""
    activities_at_once: Annotated[int, Field(ge=1)] = 100
    """Concurrent activities of one worker. An activity only watches its Ray job, so this does not bound the load."""


class OidcSettings(Model):
    """An identity provider whose tokens are accepted in addition to those of this installation."""

    issuer: str
    audience: str
    jwks_url: str
    role_claim: str = "roles"
    admins: tuple[str, ...] = ("admin",)
    """Values of the claim that make an admin; `operators` may start, pause and plan; `viewers` may only read."""
    operators: tuple[str, ...] = ("operator",)
    viewers: tuple[str, ...] = ("viewer",)
    endpoints_claim: str | None = None
    """The claim with the endpoints that a token is for: ids or patterns, a text or a list. None: all endpoints."""
    clock_skew_s: Annotated[int, Field(ge=0, le=300)] = 30


class ScheduleSettings(Model):
    enabled: bool = True
    catch_up: Literal["once", "skip"] = "once"
    """After a downtime of the server: one run for all missed slots, or none."""
    max_jitter_s: Annotated[int, Field(ge=0)] = 300
    max_runs: Annotated[int, Field(ge=1, le=1000)] = 4
    """No scheduled run starts while this many runs are live."""


class ServeSettings(Model):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8400
    anonymous: Literal["none", "viewer", "operator", "admin"] = "none"
    """The role of a caller without a token. Only on a loopback address."""
    oidc: OidcSettings | None = None
    allowed_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may call this server from a browser."""
    secret_sources: tuple[SecretSource, ...] = ()
    """The references to secrets that callers of the service may give; `*` stands for any characters. Those of `ingest.yaml` need none."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of reverse proxies whose `X-Forwarded-For` names the caller."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    """Of one request, or of one frame of a WebSocket."""
    request_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """How long a client may take to send a request; then the connection is closed."""
    requests_per_minute: Annotated[int, Field(ge=1)] = 1_200
    """Requests of one address."""
    max_depth: Annotated[int, Field(ge=3)] = 10
    max_cost: Annotated[int, Field(ge=100)] = 100_000
    """The maximum number of fields that one query may request, multiplied by its list arguments."""
    audit_days: Annotated[int, Field(ge=1)] = 400
    """How long entries of the audit log are kept."""
    schedules: ScheduleSettings = ScheduleSettings()
    parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    """Runs that the server carries out at once on this machine. None: one per core. Others wait for their turn."""


AlertCondition = Literal[
    "failed", "late", "drifted", "quarantined", "delete-refused", "verify-unequal", "log-retained", "secret-expires"
]


class ReceiverSettings(Model):
    """Where messages go. `url` of Slack and Teams is a secret, so it is a reference; that of a webhook may be a plain URL."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    form: Literal["webhook", "slack", "teams", "email"] = "webhook"
    url: str | None = None
    secret: Reference | None = None
    """Of a webhook: signs its messages."""
    host: str | None = None
    """Of an SMTP server; the fields below are for e-mail, too."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: Reference | None = None
    sender: str | None = None
    to: tuple[str, ...] = ()
    conditions: tuple[AlertCondition, ...] = ()
    """Only these; empty: all."""
    endpoints: tuple[str, ...] = ()
    """Only these, ids or patterns; empty: all."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.form == "email":
            if not (self.host and self.sender and self.to):
                raise ValueError("a receiver of e-mail needs host, sender and to")
        elif self.url is None:
            raise ValueError("a receiver needs a url")
        elif self.form in ("slack", "teams") and self.url.startswith(("http://", "https://")):
            raise ValueError("the url is a secret: give a reference, such as env:NAME or file:/path")
        return self


class AlertSettings(Model):
    enabled: bool = True
    """Whether `serve` looks for incidents, and delivers messages."""
    receivers: tuple[ReceiverSettings, ...] = ()
    max_quarantined_rows: Annotated[int, Field(ge=0)] = 0
    """A run with more rows in quarantine is an incident."""
    max_retained_mb: Annotated[int, Field(ge=1)] = 10_000
    """A source that keeps more of its log for a unit in run mode CHANGES is an incident; half of `policy.max_retained_mb` counts
    instead, where that is set."""
    group_s: Annotated[float, Field(ge=0, le=30)] = 20.0
    """Incidents of one condition and endpoint that follow each other within this time are one message."""
    expires_within_days: Annotated[int, Field(ge=1)] = 14
    """A token or certificate that expires sooner is an incident."""
    details: bool = False
    """Messages have the texts of errors, which may quote values of rows."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [receiver.id for receiver in self.receivers]
        if len(set(ids)) != len(ids):
            raise ValueError("two receivers have one id")
        return self


DAY_S = 86_400


class RetentionSettings(Model):
    """How long things are kept, in seconds or as `90d`; None: for ever. On by default. Whatever their age, the newest 20 runs of each unit and
    task stay."""

    enabled: bool = True
    """Whether `serve` and `run` sweep once a day."""
    runs: Duration | None = 90 * DAY_S
    logs: Duration | None = 30 * DAY_S
    quarantine: Duration | None = 365 * DAY_S
    """Rejected rows, which are in no sink."""
    documents: Duration | None = 30 * DAY_S
    """Manifests of runs and rows of previews."""
    incidents: Duration | None = 90 * DAY_S
    """That are over, and the messages about them."""


class LineageSettings(Model):
    """`transport`: as the library of OpenLineage takes it (`type: http`, `file`, `kafka`, `composite`, ...); its secrets are references."""

    namespace: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "ingest-ray"
    transport: dict[str, JsonValue]

    @field_validator("transport")
    @classmethod
    def _without_secrets(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in _plain_secrets(value):
            raise ValueError(f"'{name}' is a secret: give a reference, such as env:NAME or file:/path")
        return value


def _plain_secrets(value: JsonValue, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _plain_secrets(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _plain_secrets(item, name)
    elif isinstance(value, str) and is_secret_name(name) and not _REFERENCE.match(value):
        yield name


class TelemetrySettings(Model):
    """OpenTelemetry, by OTLP over HTTP."""

    endpoint: str | None = None
    """The collector, such as `http://collector:4318`. None: `OTEL_EXPORTER_OTLP_ENDPOINT` of each process."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Of every request to it; secrets are references."""
    signals: tuple[Literal["traces", "metrics", "logs"], ...] = ("traces", "metrics", "logs")
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of the traces that begin here; one that began elsewhere is recorded as its first span says."""
    service_name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "ingest-ray"
    attributes: dict[str, str] = Field(default_factory=dict)
    """Of the resource, such as `{deployment.environment.name: production}`."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Of a request to the collector, with its repetitions."""
    metrics_every_s: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("endpoint")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("a URL is expected, such as http://collector:4318")
        return value

    @field_validator("headers")
    @classmethod
    def _without_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if is_secret_name(name, is_http=True) and not _REFERENCE.match(text):
                raise ValueError(f"'{name}' is a secret: give a reference, such as env:NAME or file:/path")
        return value


_REFERENCE = re.compile(r"[a-z][a-z0-9.+-]*:[^/]|file:")


class Settings(Model):
    home: str
    state_url: str
    """SQLAlchemy URL of the catalog, and of the KV unless `kv_url` is set."""
    kv_url: str | None = None
    staging: StagingSettings = StagingSettings()
    shared: SharedSettings = SharedSettings()
    ray: RaySettings = RaySettings()
    temporal: TemporalSettings = TemporalSettings()
    staged_budget_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    """The maximum of staged and not yet committed bytes per run."""
    launcher: Literal["in-process", "ray-job", "temporal"] = "in-process"
    """How the runs that the service starts are executed."""
    serve: ServeSettings = ServeSettings()
    alerts: AlertSettings = AlertSettings()
    retention: RetentionSettings = RetentionSettings()
    lineage: LineageSettings | None = None
    """None: no lineage is sent."""
    telemetry: TelemetrySettings | None = None
    """None: no traces, metrics and logs are sent."""
    mask_key: Reference | None = None
    """The key of `policy.mask: hmac`. None: `<home>/mask.key`, which the first masked run makes."""

    @property
    def staging_uri(self) -> str:
        return self.staging.uri or self._shared_uri("staging")

    @property
    def quarantine_uri(self) -> str:
        return self._shared_uri("quarantine")

    @property
    def documents_uri(self) -> str:
        """The folder for documents that are too large for a message: manifests of runs, rows of previews."""
        return self._shared_uri("documents")

    def _shared_uri(self, name: str) -> str:
        return str(Path(self.home) / name) if self.shared.uri is None else Location(self.shared.uri).uri_of(name)
