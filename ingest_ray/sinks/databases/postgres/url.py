"""The url of a PostgreSQL sink, for the driver and for people: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING"""

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from ingest_ray.connections.tunnel import LOOPBACK
from ingest_ray.sdk.errors import ConfigError


def driver_url(url: str, password: str | None) -> str:
    """The driver hands every text over as UTF-8, and `PGCLIENTENCODING` or the url could say otherwise."""
    parts = urlsplit(_without_driver(url))
    if password is not None:
        user, _, host = parts.netloc.rpartition("@")
        user = user.split(":", 1)[0]
        parts = parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}")
    settings = [setting for setting in parts.query.split("&") if setting and not setting.startswith("client_encoding=")]
    return urlunsplit(parts._replace(query="&".join([*settings, "client_encoding=UTF8"])))


def reached_url(url: str, local_port: int | None, password_file: str | None) -> str:
    """The driver's url through a tunnel (the certificate is still compared with the server's own name), or with a password file;
    a password of a login goes through TLS only."""
    parts = urlsplit(url)
    settings = [setting for setting in parts.query.split("&") if setting]
    if local_port is not None:
        user, at, _ = parts.netloc.rpartition("@")
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        parts = parts._replace(netloc=f"{user}{at}{host}:{local_port}")
        settings.append(f"hostaddr={LOOPBACK}")
    if password_file is not None:
        settings.append(f"passfile={password_file}")
        names = {setting.partition("=")[0] for setting in settings}
        if "sslmode" not in names:
            settings.append("sslmode=verify-full" if "sslrootcert" in names else "sslmode=require")
    return urlunsplit(parts._replace(query="&".join(settings)))


def check_tls(url: str) -> None:
    """Raises `ConfigError` where the password of a login could be sent without TLS."""
    mode = dict(parse_qsl(urlsplit(url).query)).get("sslmode")
    if mode in ("disable", "allow", "prefer"):
        raise ConfigError(
            f"sslmode={mode}: a login's password is only sent through TLS: require, verify-ca or verify-full"
        )


def shown_url(url: str) -> str:
    """Without a password."""
    parts = urlsplit(_without_driver(url))
    query = [(name, value) for name, value in parse_qsl(parts.query) if not name.endswith("password")]
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.split(':', 1)[0]}{at}{host}"
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(query, safe="/")))


def _without_driver(url: str) -> str:
    """`postgres+psycopg://` as `postgresql://`."""
    return re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url)
