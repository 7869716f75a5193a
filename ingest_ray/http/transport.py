"""Opens connections: trusted certificates, the client's own certificate, and proxies.

A proxy is the configured one, or, without one, what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.
"""

import os
import ssl
from dataclasses import dataclass, field, replace
from functools import cache
from threading import Lock

import certifi
import httpx

from ingest_ray import logs
from ingest_ray.http.proxies import NO_PROXY, checked_proxy, proxy_of_environment
from ingest_ray.sdk.errors import ConfigError


@dataclass(frozen=True)
class Transport:
    """How connections are made.

    `verify`: False, True for the certificates of certifi (or of SSL_CERT_FILE and SSL_CERT_DIR), or the path of a file or folder of
    certificates, which then are the only trusted ones. `proxy`: a URL, `none`, or None for what the environment says.
    """

    verify: bool | str = True
    client_cert: str | None = None
    client_key: str | None = None
    client_key_password: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0

    @property
    def without_identity(self) -> "Transport":
        """The same for hosts that must not see the client's certificate."""
        return replace(self, client_cert=None, client_key=None, client_key_password=None)

    def proxy_for(self, scheme: str, host: str, port: int | None) -> str | None:
        """Raises `ConfigError` for a proxy that is no URL."""
        if self.proxy is None:
            return proxy_of_environment(os.environ, scheme, host, port)
        return None if self.proxy == NO_PROXY else checked_proxy(self.proxy, "field 'proxy'")

    def open(self, connections: int = 8, base_url: str = "", headers: dict[str, str] | None = None) -> httpx.Client:
        """Raises `ConfigError` for certificates that cannot be used; the message has their path."""
        context = self.tls_context()
        return httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(self.timeout_s, connect=min(15.0, self.timeout_s), pool=None),
            transport=RoutedTransport(self, context, connections),
            follow_redirects=False,
            trust_env=False,
        )

    def tls_context(self) -> ssl.SSLContext:
        files = [path for path in (*trusted_paths(self.verify), self.client_cert, self.client_key) if path]
        stamps = tuple(_stamp(path) for path in files)
        return _context(self.verify, trusted_paths(self.verify), self.client_cert, self.client_key,
                        self.client_key_password, stamps)  # fmt: skip


class RoutedTransport(httpx.BaseTransport):
    """Sends each request directly or through the proxy that its address needs."""

    def __init__(self, transport: Transport, context: ssl.SSLContext, connections: int) -> None:
        self._transport = transport
        self._context = context
        self._limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._routes: dict[str | None, httpx.HTTPTransport] = {}
        self._lock = Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        return self._route(self._transport.proxy_for(url.scheme, url.host, url.port)).handle_request(request)

    def close(self) -> None:
        for route in self._routes.values():
            route.close()

    def _route(self, proxy: str | None) -> httpx.HTTPTransport:
        with self._lock:
            if proxy not in self._routes:
                self._routes[proxy] = self._open(proxy)
            return self._routes[proxy]

    def _open(self, proxy: str | None) -> httpx.HTTPTransport:
        if proxy is None:
            return httpx.HTTPTransport(verify=self._context, limits=self._limits, trust_env=False)
        url = httpx.URL(proxy)
        if url.password:
            logs.hide(url.password)
        secured = self._context if url.scheme == "https" else None
        try:
            return httpx.HTTPTransport(
                verify=self._context,
                limits=self._limits,
                trust_env=False,
                proxy=httpx.Proxy(proxy, ssl_context=secured),
            )
        except ImportError:
            raise ConfigError(
                f"the proxy '{url.scheme}://{url.host}' needs a package that is not installed",
                hint="pip install 'httpx[socks]', or use an HTTP proxy",
            ) from None


def trusted_paths(verify: bool | str) -> tuple[str, ...]:
    """The files or folders of trusted certificates; the variables are OpenSSL's.

    https://docs.openssl.org/master/man3/SSL_CTX_load_verify_locations/
    """
    if isinstance(verify, str):
        return (verify,)
    named = [os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    return tuple(named) if verify else ()


@cache
def _context(
    verify: bool | str,
    trusted: tuple[str, ...],
    client_cert: str | None,
    client_key: str | None,
    password: str | None,
    stamps: tuple[float, ...],
) -> ssl.SSLContext:
    """One per process and state of the files: reading all certificates takes 20 ms, and every slice opens a client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in trusted:
        _trust(context, path)
    if verify is True and not trusted:
        context.load_verify_locations(cafile=certifi.where())
    if client_cert is not None:
        _identify(context, client_cert, client_key, password)
    return context


def _trust(context: ssl.SSLContext, path: str) -> None:
    try:
        if os.path.isdir(path):  # a folder of hashed names, as `c_rehash` makes it
            if not os.listdir(path):
                raise ConfigError(f"'{path}' has no certificates", hint=_CA_HINT)
            context.load_verify_locations(capath=path)
            return
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ConfigError(f"'{path}' is no file of certificates", hint=_CA_HINT) from None
    except OSError as error:
        raise ConfigError(f"the certificates '{path}' cannot be read: {error.strerror}", hint=_CA_HINT) from None
    if not context.cert_store_stats()["x509"]:
        raise ConfigError(f"'{path}' has no certificates", hint=_CA_HINT)


def _identify(context: ssl.SSLContext, cert: str, key: str | None, password: str | None) -> None:
    for path in (cert, key):
        if path is not None and not os.access(path, os.R_OK):
            reason = "cannot be read" if os.path.exists(path) else "does not exist"
            raise ConfigError(f"the client certificate or key '{path}' {reason}", hint=_CERT_HINT)
    try:
        context.load_cert_chain(cert, key, password or "")  # without a password OpenSSL would ask the terminal
    except (ssl.SSLError, OSError, ValueError):
        named = f"'{cert}'" if key is None else f"'{cert}' with the key '{key}'"
        raise ConfigError(f"the client certificate {named} cannot be used", hint=_CERT_HINT) from None


_CA_HINT = "'verify_tls' (or SSL_CERT_FILE) names a PEM file of the certificates to trust"
_CERT_HINT = (
    "'client_cert' is a PEM file, 'client_key' its key where it is in another file, 'client_key_password' the key's"
)


def _stamp(path: str) -> float:
    """Changes when the file is replaced: a renewed certificate is used without a restart."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
