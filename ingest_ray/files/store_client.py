"""Opens an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure.

The options have the names of https://docs.rs/object_store, which Delta's `storage_options` have, too. Without keys among them the
library looks into the environment and asks the platform (web identity, container, machine); profiles of AWS it does not read.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.missing_packages import named_packages

if TYPE_CHECKING:
    from obstore.store import ObjectStore

S3, GOOGLE, AZURE = frozenset({"s3", "s3a"}), frozenset({"gs"}), frozenset({"az", "adl", "azure", "abfs", "abfss"})
SCHEMES = S3 | GOOGLE | AZURE

_PREFIX = re.compile(r"^(aws|azure|google)_")
_CLIENT = frozenset(
    [
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "http1_only",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_url",
        "proxy_ca_certificate",
        "proxy_excludes",
        "randomize_addresses",
        "read_timeout",
        "timeout",
        "user_agent",
        "root_certificate",
    ]
)
_FLAGS = frozenset(("allow_http", "allow_invalid_certificates", "http1_only", "http2_only", "randomize_addresses"))
# Of https://github.com/delta-io/delta-rs only: about its own retries and its commits.
_OF_DELTA = re.compile(
    r"^(aws_)?(s3_allow_unsafe_rename|s3_locking_provider|dynamo_.*|sts_.*)$|^dynamo_|^delta_|^max_retries$|^retry_timeout$"
    r"|^backoff_config\.|^object_store_concurrency_limit$|^mount_allow_unsafe_rename$|^aws_(copy_if_not_exists|iam_role_.*)$"
)
_QUERY = {"region": "aws_region", "tls_ca_file_path": "root_certificate"}  # names of pyarrow's URIs
_ANSWER_S, _CONNECT_S = 60, 5
_RETRIES, _RETRY_S = 8, 60


def is_store(uri: str) -> bool:
    return uri.partition("://")[0].lower() in SCHEMES and "://" in uri


def open_store(location: Location, *, is_quick: bool = False) -> "ObjectStore":
    """`is_quick`: gives up within 10 seconds. Makes no request, except for the region of a bucket that no setting names.

    Raises:
        ConfigError: an option does not exist, or the package is missing.
    """
    with named_packages(f"'{location.base}'"):
        from obstore import store as stores
    from_url: Any = stores.from_url
    scheme = location.uri.partition("://")[0].lower()
    config, client = _split(_options(location))
    if scheme in S3:
        _add_region(config, location.base)
    if is_quick:
        client |= {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=4)}
    retry: Any = {
        "max_retries": 1 if is_quick else _RETRIES,
        "retry_timeout": timedelta(seconds=3 if is_quick else _RETRY_S),
    }
    provider = _profile_credentials(config) if scheme in S3 else None
    try:
        store: ObjectStore = from_url(
            location.base,
            config=config or None,
            client_options={"timeout": timedelta(seconds=_ANSWER_S), "connect_timeout": timedelta(seconds=_CONNECT_S)}
            | client,
            retry_config=retry,
            credential_provider=provider,
        )
        return store
    except Exception as error:  # the library has a class of its own for some mistakes, and `ValueError` for others
        raise ConfigError(f"'{location.base}' cannot be opened: {_first_line(error)}") from None


def _options(location: Location) -> dict[str, str]:
    """All options, those of the URI's query, too, by their names in lower case."""
    options = {name.lower(): value for name, value in location.options.items()}
    found = dict(parse_qsl(location.query))
    scheme, endpoint = found.pop("scheme", None), found.pop("endpoint_override", None)
    if endpoint is not None:
        options.setdefault("aws_endpoint", endpoint if "://" in endpoint else f"{scheme or 'https'}://{endpoint}")
    if scheme == "http":
        options.setdefault("allow_http", "true")
    for name, value in found.items():
        options.setdefault(_QUERY.get(name, name).lower(), value)
    return options


def _split(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """What the library takes as settings of the store, and what as settings of its HTTP client."""
    config: dict[str, str] = {}
    client: dict[str, Any] = {}
    for name, value in options.items():
        bare = _PREFIX.sub("", name)
        if bare in _CLIENT:
            client[bare] = value.strip().lower() in ("true", "1", "yes") if bare in _FLAGS else value
        elif not _OF_DELTA.match(name):
            config[name] = value
    if any(value.startswith("http://") for name, value in config.items() if "endpoint" in name):
        client.setdefault("allow_http", True)
    return config, client


def _add_region(config: dict[str, str], base: str) -> None:
    """The bucket's own region, where no setting names one: the library would take `us-east-1`, which other buckets refuse."""
    named = {"region", "aws_region", "default_region", "aws_default_region", "endpoint", "aws_endpoint", "endpoint_url"}
    in_environment = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    if named & config.keys() or "aws_endpoint_url" in config or any(name in os.environ for name in in_environment):
        return
    from pyarrow.fs import resolve_s3_region

    try:
        config["aws_region"] = resolve_s3_region(base.partition("://")[2].partition("/")[0])
    except OSError:  # the first request names the cause
        return


def _profile_credentials(config: Mapping[str, str]) -> Any:
    """The keys of a profile (`AWS_PROFILE`, `~/.aws`), by the maker's own library; None where other keys are given."""
    if any("access_key" in name or "token" in name or "skip_signature" in name for name in config):
        return None
    if any(name in os.environ for name in ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE")):
        return None
    folder = Path("~/.aws").expanduser()
    files = [os.environ.get("AWS_SHARED_CREDENTIALS_FILE", folder / "credentials"), folder / "config"]
    if "AWS_PROFILE" not in os.environ and not any(Path(file).is_file() for file in files):
        return None
    with named_packages("a profile of AWS"):
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    session = boto3.Session()
    return Boto3CredentialProvider(session) if session.get_credentials() is not None else None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
