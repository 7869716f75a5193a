"""An HTTP proxy before an object store that counts requests and breaks chosen ones: busy answers, cut bodies, delays, lost answers."""

import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Protocol
from urllib.parse import urlsplit

Fault = Literal["busy", "cut", "slow", "lost", "denied", "no-bucket"]
Answers = dict[str, tuple[int, str, str]]

AMAZON: Answers = {
    "busy": (503, "SlowDown", "Please reduce your request rate."),
    "denied": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "no-bucket": (404, "NoSuchBucket", "The specified bucket does not exist"),
}
# https://learn.microsoft.com/en-us/rest/api/storageservices/common-rest-api-error-codes
AZURE: Answers = {
    "busy": (503, "ServerBusy", "The server is currently unable to receive requests. Please retry your request."),
    "denied": (403, "AuthenticationFailed", "Server failed to authenticate the request."),
    "no-bucket": (404, "ContainerNotFound", "The specified container does not exist."),
}
# https://docs.cloud.google.com/storage/docs/xml-api/reference-status
GOOGLE: Answers = {
    "busy": (503, "ServiceUnavailable", "Service unavailable. Please retry."),
    "denied": (401, "InvalidSecurity", "The provided security credentials are not valid."),
    "no-bucket": (404, "NoSuchBucket", "The specified bucket does not exist."),
}
_CONDITIONS = {"if-match", "if-none-match", "x-goog-if-generation-match"}
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    is_conditional: bool
    """The request has `If-Match`, `If-None-Match`, or the condition of a generation."""

    @property
    def is_log(self) -> bool:
        """True for requests that read or list the log of a Delta table."""
        return self.method in ("GET", "HEAD") and "_delta_log" in self.path + self.query


Rule = Callable[[Request], Fault | None]


class StoreProxy:
    """`rule` chooses the fault of each request; None lets it pass. `answers`: the store's own words for what is wrong."""

    def __init__(self, target: str, answers: Answers = AMAZON, translation: "Translation | None" = None) -> None:
        self.target = urlsplit(target).netloc
        self.answers = answers
        self.translation = translation
        self.rule: Rule = lambda _: None
        self.requests: list[Request] = []
        self.injected: list[tuple[Fault, Request]] = []
        self.delay_s = 0.3
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, *, since: int = 0, only: Callable[[Request], bool] = lambda _: True) -> int:
        return sum(only(request) for request in self.requests[since:])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


Message = tuple[str, str, dict[str, str], bytes]
"""Method, path with query, headers, and body of a request."""


class Translation(Protocol):
    """Between the protocol of a store and that of a server that stands in for it."""

    def asked(self, message: Message) -> Message | None:
        """What the server is asked instead; None: the request as it is."""
        ...

    def answered(self, message: Message, content: bytes) -> tuple[list[tuple[str, str]], bytes]:
        """Headers that the answer to the client's request lacks, and its content."""
        ...


@contextmanager
def open_proxy(target: str, answers: Answers = AMAZON, translation: Translation | None = None) -> Iterator[StoreProxy]:
    proxy = StoreProxy(target, answers, translation)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()


def every(number: int, fault: Fault, only: Callable[[Request], bool] = lambda _: True) -> Rule:
    """The fault for each `number`-th of the requests that `only` chooses."""
    seen: list[Request] = []

    def rule(request: Request) -> Fault | None:
        if not only(request):
            return None
        seen.append(request)
        return fault if len(seen) % number == 0 else None

    return rule


def some(fraction: float, fault: Fault) -> Rule:
    """The fault for a fraction of all requests, the same ones each time: in no rhythm that a client's retries could have, too."""
    chance = random.Random(7)
    return lambda _: fault if chance.random() < fraction else None


def first_of(rules: Sequence[Rule]) -> Rule:
    return lambda request: next((fault for rule in rules if (fault := rule(request)) is not None), None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, proxy: StoreProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.proxy = proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that closed its connection."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        proxy = self.server.proxy
        body = self._read_body()
        parts = urlsplit(self.path)
        names = {name.lower() for name in self.headers}
        request = Request(self.command, parts.path, parts.query, bool(names & _CONDITIONS))
        proxy.requests.append(request)
        fault = proxy.rule(request)
        if fault is not None:
            proxy.injected.append((fault, request))
        if fault in proxy.answers:
            status, code, text = proxy.answers[fault]
            content = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{text}</Message></Error>'.encode()
            self._answer(status, [("Content-Type", "application/xml")], content)
            return
        if fault == "slow":
            time.sleep(proxy.delay_s)
        status, headers, content = self._forward(body)
        if fault == "lost":
            self._hang_up()
            return
        if fault == "cut" and self.command != "HEAD" and content:
            self._answer(status, headers, content[: len(content) // 2], promised=len(content))
            self._hang_up()
            return
        self._answer(status, headers, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.proxy.target, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            message = (self.command, self.path, headers, body)
            translation = self.server.proxy.translation
            other = None if translation is None else translation.asked(message)
            method, path, headers, body = other or message
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            added, content = translation.answered(message, content) if translation is not None else ([], content)
            return answer.status, [*answer.getheaders(), *added], content
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, promised: int | None = None) -> None:
        self.send_response_only(status)
        length = str(len(content) if promised is None else promised)
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
            self.wfile.flush()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()
