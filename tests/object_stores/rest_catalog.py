"""A witness of the Iceberg REST catalog API, for lack of a server in a package registry.

https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml, as far as the sink uses it: configuration, OAuth2 with
client credentials, namespaces, tables, commits. Requirements and updates come over the wire as JSON and are applied by pyiceberg's SQL
catalog; so it shows what the sink sends and how it takes answers, and nothing about any vendor's server.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pyiceberg.catalog.rest import CommitTableRequest, CreateTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table

CLIENT, SECRET, TOKEN = "loader", "hush", "token-1"
Fault = Literal["busy", "lost"]
_STATUS = [
    (NoSuchTableError, 404),
    (NoSuchNamespaceError, 404),
    (NamespaceAlreadyExistsError, 409),
    (TableAlreadyExistsError, 409),
    (CommitFailedException, 409),
]


class RestCatalogServer:
    """`rule` chooses the fault of each request by method and path; None lets it pass. `login`: what every request must show."""

    def __init__(self, catalog: SqlCatalog, login: Literal["oauth2", "sigv4"] = "oauth2") -> None:
        self.catalog = catalog
        self.login = login
        self.rule: Callable[[str, str], Fault | None] = lambda *_: None
        self.requests: list[tuple[str, str]] = []
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any] | None]:
        parts = [unquote(part) for part in path.strip("/").split("/")][1:]
        if parts == ["config"]:
            return 200, {"defaults": {}, "overrides": {}}
        if parts == ["oauth", "tokens"]:
            form = parse_qs(body.decode())
            if (form["client_id"], form["client_secret"]) != ([CLIENT], [SECRET]):
                return 401, {"error": "invalid_client", "error_description": "unknown client or secret"}
            return 200, {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}
        name = tuple(parts[1].split("\x1f")) if len(parts) > 1 else ()
        if len(parts) < 3:
            return self._namespaces(method, name, body)
        if len(parts) == 3:
            request = CreateTableRequest.model_validate({"location": None, **json.loads(body)})
            table = self.catalog.create_table(
                (*name, request.name), request.table_schema, request.location, properties=request.properties
            )
            return 200, _described(table)
        table = self.catalog.load_table((*name, parts[3]))
        if method == "POST":
            commit = CommitTableRequest.model_validate_json(body)
            done = self.catalog.commit_table(table, tuple(commit.requirements), tuple(commit.updates))
            metadata = json.loads(done.metadata.model_dump_json())
            return 200, {"metadata": metadata, "metadata-location": done.metadata_location}
        return 200, _described(table)

    def _namespaces(self, method: str, name: tuple[str, ...], body: bytes) -> tuple[int, dict[str, Any] | None]:
        if method == "POST":
            created = tuple(json.loads(body)["namespace"])
            self.catalog.create_namespace(created)
            return 200, {"namespace": list(created), "properties": {}}
        if not self.catalog.namespace_exists(name):
            raise NoSuchNamespaceError(f"namespace {name} does not exist")
        return 200, {"namespace": list(name), "properties": {}}


@contextmanager
def serve(catalog: SqlCatalog, login: Literal["oauth2", "sigv4"] = "oauth2") -> Iterator[RestCatalogServer]:
    server = RestCatalogServer(catalog, login)
    server.start()
    try:
        yield server
    finally:
        server.close()


def _described(table: Table) -> dict[str, Any]:
    metadata = json.loads(table.metadata.model_dump_json())
    return {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, catalog: RestCatalogServer) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.catalog = catalog

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that closed its connection."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        catalog = self.server.catalog
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        catalog.requests.append((self.command, path))
        fault = catalog.rule(self.command, path)
        if fault == "busy":
            self._answer(503, {"error": {"message": "try again", "type": "ServiceUnavailable", "code": 503}})
            return
        if not path.endswith("/oauth/tokens") and not self._is_known():
            self._answer(401, {"error": {"message": "who are you", "type": "NotAuthorizedException", "code": 401}})
            return
        try:
            status, document = catalog.answer(self.command, path, body)
        except Exception as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            document = {"error": {"message": str(error), "type": type(error).__name__, "code": status}}
        if fault == "lost":
            self.close_connection = True
            self.connection.close()
            return
        self._answer(status, document)

    do_GET = do_POST = do_HEAD = do_DELETE = _serve

    def _is_known(self) -> bool:
        login = self.headers.get("Authorization", "")
        if self.server.catalog.login == "sigv4":
            return login.startswith("AWS4-HMAC-SHA256 Credential=key/") and "/us-east-1/glue/aws4_request" in login
        return login == f"Bearer {TOKEN}"

    def _answer(self, status: int, document: dict[str, Any] | None) -> None:
        content = json.dumps(document).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
            self.wfile.flush()
