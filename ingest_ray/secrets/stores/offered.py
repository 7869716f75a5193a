"""The stores that the entry points of this package name."""

import re
from functools import cached_property

from ingest_ray.registry.lazy_target import load_target
from ingest_ray.sdk.contracts import SecretStore, StoredSecret
from ingest_ray.sdk.errors import ConfigError

__all__ = ["aws_sm", "azure_kv", "gcp_sm", "vault"]


class LazySecretStore:
    """Checks paths without a library; `target` is `module:class` of the store, `extra` installs its library."""

    def __init__(self, form: str, pattern: str, target: str, extra: str) -> None:
        self._form = form
        self._pattern = re.compile(pattern)
        self._target = target
        self._extra = extra

    def check(self, path: str) -> None:
        if self._pattern.fullmatch(path) is None or ".." in path.split("/"):
            raise ConfigError("the path has another form", hint=f"the form is '{self._form}'")

    def read(self, path: str) -> StoredSecret:
        return self._store.read(path)

    @cached_property
    def _store(self) -> SecretStore:
        store: SecretStore = load_target(self._target, self._extra)()
        return store


vault = LazySecretStore(
    "vault:mount/path#field", r"[^\s?#/]+(/[^\s?#/]+)+", "ingest_ray.secrets.stores.vault:Vault", extra="vault"
)
aws_sm = LazySecretStore(
    "aws-sm:name, aws-sm:name#field or aws-sm:arn:aws:secretsmanager:...",
    r"[\w/+=.@:-]{1,2048}",  # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
    "ingest_ray.secrets.stores.aws:SecretsManager",
    extra="aws",
)
gcp_sm = LazySecretStore(
    "gcp-sm:projects/PROJECT/secrets/NAME, with /versions/N or #field",
    r"projects/[\w:.-]+/(locations/[\w-]+/)?secrets/[\w-]{1,255}(/versions/[\w-]+)?",
    "ingest_ray.secrets.stores.google:SecretManager",
    extra="gcp",
)
azure_kv = LazySecretStore(
    "azure-kv:VAULT/NAME, with /VERSION or #field",
    r"[A-Za-z0-9-]{3,24}/[A-Za-z0-9-]{1,127}(/[0-9a-f]{32})?",
    "ingest_ray.secrets.stores.azure:KeyVault",
    extra="azure",
)
