"""The url of a PostgreSQL sink, for the driver and for people: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING"""

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit


def driver_url(url: str, password: str | None) -> str:
    """The driver hands every text over as UTF-8, and `PGCLIENTENCODING` or the url could say otherwise."""
    parts = urlsplit(_without_driver(url))
    if password is not None:
        user, _, host = parts.netloc.rpartition("@")
        user = user.split(":", 1)[0]
        parts = parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}")
    settings = [setting for setting in parts.query.split("&") if setting and not setting.startswith("client_encoding=")]
    return urlunsplit(parts._replace(query="&".join([*settings, "client_encoding=UTF8"])))


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
