"""How Oracle is configured: fields, or a URL as JDBC's thin driver or SQLAlchemy writes it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, model_validator

from ingest_strategies.jdbc.config import Seconds, SqlConfig, with_url_parts


class OracleConfig(SqlConfig):
    url: str | None = None
    """`jdbc:oracle:thin:@//host:port/service`, `jdbc:oracle:thin:@host:port:sid`, `oracle://`, `oracle+oracledb://`."""
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1521
    service: str | None = None
    sid: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    schemas: tuple[str, ...] = ()
    """None: every schema that is not the server's own. As the catalog spells them: mostly in capitals."""
    protocol: Literal["tcp", "tcps"] = "tcp"
    """`tcps` is TLS, and proves that the server is the one that its certificate names."""
    wallet_location: str | None = None
    """Folder of `ewallet.pem`: trusted certificates, and one's own for mutual TLS; none: the system's certificates."""
    wallet_password: SecretStr | None = None
    ssl_server_dn_match: bool = True
    ssl_server_cert_dn: str | None = None
    connect_timeout_s: Seconds = 10
    statement_timeout_s: Seconds | None = None
    """How long the server may take to answer; readers fetch many answers of one statement."""
    number_scale: Annotated[int, Field(ge=0, le=38)] | None = None
    """Makes decimals of 38 digits, so many of them behind the point, of NUMBER without a precision; none: text."""

    @model_validator(mode="before")
    @classmethod
    def _take_url_apart(cls, given: Any) -> Any:
        return with_thin_parts(given) if is_thin(given) else with_url_parts(given, ("oracle",), _QUERY, "service")

    @model_validator(mode="after")
    def _is_one_database(self) -> "OracleConfig":
        if bool(self.service) == bool(self.sid):
            raise ValueError("exactly one of 'service' and 'sid' is needed")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(secret.get_secret_value() for secret in (self.password, self.wallet_password) if secret)


_QUERY = {
    "service_name": "service",
    "sid": "sid",
    "user": "user",
    "password": "password",
    "protocol": "protocol",
    "wallet_location": "wallet_location",
    "ssl_server_dn_match": "ssl_server_dn_match",
}
_THIN = re.compile(
    r"""jdbc:oracle:thin:(?:(?P<user>[^/@]*)/(?P<password>.*))?@
    (?:(?P<protocol>tcps?):)?(?://)?(?P<host>\[[^\]]+\]|[^:/\[\]()]+)(?::(?P<port>\d+))?
    (?:/(?P<service>[^:/?]+)|:(?P<sid>[^:/?]+))\Z""",
    re.VERBOSE | re.IGNORECASE,
)


def is_thin(given: Any) -> bool:
    return isinstance(given, Mapping) and str(given.get("url") or "").lower().startswith("jdbc:oracle:")


def with_thin_parts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Spreads a URL of JDBC's thin driver over the fields; those that are given, too, win."""
    match = _THIN.match(str(given["url"]))
    if match is None:
        raise ValueError(
            "field 'url': must be 'jdbc:oracle:thin:@//host:port/service' or 'jdbc:oracle:thin:@host:port:sid'; a"
            " TNS alias or descriptor is not understood: give host, port and service"
        )
    fields = dict(given)
    found: dict[str, Any] = {name: value for name, value in match.groupdict().items() if value}
    found["host"] = found["host"].strip("[]")
    if "protocol" in found:
        found["protocol"] = found["protocol"].lower()
    if "password" in found:
        found["password"] = unquote(found["password"])
    for name, value in found.items():
        if fields.get(name) in (None, ""):
            fields[name] = value
    port = f":{match['port']}" if match["port"] else ""
    place = f"/{match['service']}" if match["service"] else f":{match['sid']}"
    fields["url"] = f"jdbc:oracle:thin:@{match['host']}{port}{place}"
    return fields
