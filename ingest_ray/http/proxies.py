"""Which proxy a request goes through, by the usual environment variables. Pure.

https://curl.se/docs/manpage.html#ENVIRONMENT: lower case wins; HTTP_PROXY in upper case is not used where it could be a header of a
CGI request. NO_PROXY lists hosts, domains (with all below them), addresses and networks, each with a port where it has one.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from ingest_ray.sdk.errors import ConfigError

NO_PROXY = "none"
"""As the configured proxy: none, whatever the environment says."""
SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_of_environment(variables: Mapping[str, str], scheme: str, host: str, port: int | None) -> str | None:
    """The proxy's URL; None: the request is sent directly. Raises `ConfigError` for a variable that is no URL."""
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in variables:  # https://httpoxy.org/
        names.remove("HTTP_PROXY") if scheme == "http" else None
    name = next((name for name in names if variables.get(name)), None)
    if name is None or is_excepted(variables.get("no_proxy") or variables.get("NO_PROXY") or "", host, port):
        return None
    return checked_proxy(variables[name], name)


def checked_proxy(text: str, where: str) -> str:
    """The proxy as a URL with a scheme; `host:port` is an HTTP proxy. Raises `ConfigError`, which shows no password."""
    url = text.strip() if "://" in text else f"http://{text.strip()}"
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or any(sign.isspace() for sign in url):
        raise ConfigError(
            f"{where}: this is no address of a proxy",
            hint=f"{' or '.join(f'{name}://' for name in SCHEMES)}, host and port; or 'none'",
        )
    return url


def is_excepted(no_proxy: str, host: str, port: int | None) -> bool:
    """Whether the host is one of `no_proxy`: a list with commas or blanks between its items."""
    host = host.strip("[]").rstrip(".").lower()
    return any(_matches(item, host, port) for item in no_proxy.replace(",", " ").split())


def _matches(item: str, host: str, port: int | None) -> bool:
    item = item.lower()
    if item == "*":
        return True
    if (network := _network(item)) is not None:
        address = _address(host)
        return address is not None and address in network
    name, colon, number = item.rpartition(":")
    if colon and number.isdecimal() and not (":" in name and not name.endswith("]")):
        if port is not None and int(number) != port:
            return False
        item = name
    bare = item.strip("[]").removeprefix("*").strip(".")
    return bool(bare) and (host == bare or host.endswith(f".{bare}"))


def _network(item: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(item.strip("[]"), strict=False)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
