"""Opens connections: trusted certificates, the client's own certificate, and proxies.

A proxy is the configured one, or, without one, what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.
"""

import base64
import http.client
import os
import ssl
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.message import Message
from functools import cache
from http.cookiejar import CookieJar
from threading import Lock
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from urllib.request import Request as UrlRequest

import certifi
import urllib3

from ingest_ray import logs
from ingest_ray.http.proxies import NO_PROXY, checked_proxy, proxy_of_environment
from ingest_ray.http.request import Request
from ingest_ray.sdk.errors import ConfigError

PART_BYTES = 256 * 1024  # of a body, read at once


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

    def open(self, connections: int = 8) -> "Connections":
        """Raises `ConfigError` for certificates that cannot be used; the message has their path."""
        return Connections(self, self.tls_context(), connections)

    def tls_context(self) -> ssl.SSLContext:
        files = [path for path in (*trusted_paths(self.verify), self.client_cert, self.client_key) if path]
        stamps = tuple(_stamp(path) for path in files)
        return _context(self.verify, trusted_paths(self.verify), self.client_cert, self.client_key,
                        self.client_key_password, stamps)  # fmt: skip


class FinalResponse(http.client.HTTPResponse):
    """Passes over every interim response, such as 103 Early Hints. The base class passes over 100 only: it takes another one for the
    answer, and the answer for that of the next request. https://www.rfc-editor.org/rfc/rfc9110#section-15.2
    """

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class Connections:
    """The connections of one client, reused by its requests: at most so many to each host. Thread-safe. Each request goes directly or
    through the proxy that its address needs; nothing is retried, and no redirect is followed."""

    def __init__(self, transport: Transport, context: ssl.SSLContext, connections: int) -> None:
        self._transport = transport
        self._context = context
        self._timeout = urllib3.Timeout(connect=min(15.0, transport.timeout_s), read=transport.timeout_s)
        self._most = connections
        self._routes: dict[str | None, urllib3.PoolManager] = {}
        self._lock = Lock()
        self._cookies = Cookies()
        self.is_closed = False
        if context.verify_mode == ssl.CERT_NONE:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # `verify_tls: false` says so

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.is_closed = True
        with self._lock:
            for route in self._routes.values():
                route.clear()

    def send(self, request: Request) -> urllib3.BaseHTTPResponse:
        """The response, whose body is still to be `received`; then it is to be given back.

        Raises `ValueError` for what HTTP does not allow in a request, other than an address, and `urllib3.exceptions.HTTPError`.
        """
        origin = request.origin
        proxy = self._transport.proxy_for(origin.scheme, origin.host, origin.port)
        route = self._route(proxy)
        headers = request.headers
        if (cookies := self._cookies.header(request)) is not None:
            headers = {**headers, "Cookie": cookies}
        given: dict[str, Any] = {
            "body": request.body,
            "headers": headers,
            "retries": False,
            "redirect": False,
            "timeout": self._timeout,
            "pool_timeout": self._transport.timeout_s,  # else it waits without end where all connections are in use
            "preload_content": False,
            "decode_content": False,
        }
        if proxy is None:
            pool = route.connection_from_host(origin.host, origin.port, origin.scheme)
            response: urllib3.BaseHTTPResponse = pool.urlopen(request.method, request.target, **given)
        else:
            response = route.urlopen(request.method, request.url, **given)
        self._cookies.note(request, response)
        return response

    def _route(self, proxy: str | None) -> urllib3.PoolManager:
        with self._lock:
            if proxy not in self._routes:
                self._routes[proxy] = _with_final_responses(self._open(proxy))
            return self._routes[proxy]

    def _open(self, proxy: str | None) -> urllib3.PoolManager:
        pools: dict[str, Any] = {"maxsize": self._most, "block": True, "ssl_context": self._context}
        if proxy is None:
            return urllib3.PoolManager(**pools)
        parts = urlsplit(proxy)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if password:
            logs.hide(password)
            logs.hide(parts.password or "")
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if not parts.scheme.startswith("socks"):
            login = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
            given = {"Proxy-Authorization": login} if user or password else {}
            return urllib3.ProxyManager(address, proxy_headers=given, proxy_ssl_context=self._context, **pools)
        return _open_socks(address, user or None, password or None, pools)


def _with_final_responses(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    classes: dict[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _with_final_response(pool) for scheme, pool in classes.items()}
    return manager


@cache
def _with_final_response(pool: Any) -> type:
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": FinalResponse})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _open_socks(address: str, user: str | None, password: str | None, pools: dict[str, Any]) -> urllib3.PoolManager:
    """The proxy resolves the names of hosts, whichever of the two schemes is given."""
    parts = urlsplit(address)
    try:
        with warnings.catch_warnings():  # it says what the error below says
            warnings.simplefilter("ignore")
            from urllib3.contrib.socks import SOCKSProxyManager
    except ImportError:
        raise ConfigError(
            f"the proxy '{parts.scheme}://{parts.hostname}' needs a package that is not installed",
            hint="pip install 'urllib3[socks]', or use an HTTP proxy",
        ) from None
    return SOCKSProxyManager(f"socks5h://{parts.netloc}", username=user, password=password, **pools)


def received(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The parts of the body as they arrive."""
    return response.stream(PART_BYTES, decode_content=False)


def give_back(response: urllib3.BaseHTTPResponse) -> None:
    """Every response is given back once, or its connection is lost to the others: closed, unless the body was read to its end."""
    if not response.closed:
        response.close()
    response.release_conn()


class Cookies:
    """Those of one client: a load balancer keeps a client at one node, and a site its session, by cookies. Thread-safe."""

    def __init__(self) -> None:
        self._jar = CookieJar()
        self._has_some = False

    def note(self, request: Request, response: urllib3.BaseHTTPResponse) -> None:
        texts = response.headers.getlist("set-cookie")
        if not texts:
            return
        message = Message()
        for text in texts:
            message["Set-Cookie"] = text
        self._jar.extract_cookies(_Received(message), UrlRequest(request.url))  # type: ignore[arg-type]
        self._has_some = True

    def header(self, request: Request) -> str | None:
        if not self._has_some:
            return None
        asked = UrlRequest(request.url)
        self._jar.add_cookie_header(asked)
        return asked.get_header("Cookie")


@dataclass(frozen=True)
class _Received:
    """What `CookieJar` needs of a response."""

    message: Message

    def info(self) -> Message:
        return self.message


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
