"""Whether the catalog and the files of an Iceberg sink can be reached: short requests, because those of the library wait for minutes.

Names of options: https://py.iceberg.apache.org/configuration/#fileio
"""

import urllib.error
import urllib.request
from collections.abc import Mapping

from ingest_ray.sdk.errors import SinkUnavailable
from ingest_ray.sdk.url_credentials import shown_url
from ingest_ray.sinks.lake_reach import check_reach

ANSWER_S = 4.0
_STORE_OPTIONS = {
    "s3.endpoint": "aws_endpoint",
    "s3.access-key-id": "aws_access_key_id",
    "s3.secret-access-key": "aws_secret_access_key",
    "s3.session-token": "aws_session_token",
    "s3.region": "aws_region",
    "client.access-key-id": "aws_access_key_id",
    "client.secret-access-key": "aws_secret_access_key",
    "client.session-token": "aws_session_token",
    "client.region": "aws_region",
    "adls.account-name": "azure_storage_account_name",
    "adls.account-key": "azure_storage_account_key",
    "adls.sas-token": "azure_storage_sas_token",
}
_OTHER_LOGINS = (
    "s3.signer",
    "s3.profile-name",
    "client.profile-name",
    "s3.role-arn",
    "client.role-arn",
    "s3.anonymous",
    "s3.proxy-uri",
)
_ADDRESSES = {"rest": "uri", "glue": "glue.endpoint"}


def check_iceberg_reach(catalog: str, warehouse: str | None, properties: Mapping[str, str]) -> None:
    """`properties`: of the library, with the catalog's `uri`. Raises as `ReachChecker` says."""
    address = properties.get(_ADDRESSES.get(catalog, ""))
    if address is not None and address.startswith(("http://", "https://")):
        _check_address(address)
    # A REST catalog may give keys for each table, and other logins are the library's own: then the first request tells.
    has_keys = any(name in properties for name in _STORE_OPTIONS if "key" in name or "token" in name)
    if (
        warehouse is not None
        and not any(name in properties for name in _OTHER_LOGINS)
        and (catalog != "rest" or has_keys)
    ):
        options = {_STORE_OPTIONS[name]: value for name, value in properties.items() if name in _STORE_OPTIONS}
        if not warehouse.startswith("gs://"):
            check_reach(warehouse, options)


def _check_address(address: str) -> None:
    """Whatever it answers, also that a login is missing, it can be reached."""
    try:
        urllib.request.urlopen(address, timeout=ANSWER_S).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SinkUnavailable(
            f"the catalog at '{shown_url(address)}' cannot be reached: {reason or type(error).__name__}",
            hint="check its address, the network and its TLS",
        ) from None
