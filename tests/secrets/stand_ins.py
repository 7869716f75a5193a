"""Stand-ins for stores of secrets that no package registry has: the requests that their makers document, over HTTP on loopback."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, Any]


class StandIn:
    """Counts requests by path. `fails` answers the next requests with these statuses, instead of what was asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.fails: list[int] = []
        self.url = ""

    def answer(self, method: str, path: str, headers: Any, body: Any) -> Answer:
        raise NotImplementedError


class VaultStandIn(StandIn):
    """https://developer.hashicorp.com/vault/api-docs: `kv` (version 2), `old` (version 1), `database` (a new login for each request)."""

    def __init__(self) -> None:
        super().__init__()
        self.kv: dict[str, dict[str, Any] | None] = {}
        self.tokens = {"root-token"}
        self.logins = 0
        self.lease_s = 3600
        self.shows_mounts = True

    def answer(self, method: str, path: str, headers: Any, body: Any) -> Answer:
        if path == "/v1/auth/approle/login":
            if body != {"role_id": "ingest", "secret_id": "s3cret-id"}:
                return 400, {"errors": ["invalid role or secret ID"]}
            return 200, {"auth": {"client_token": self._new_token()}}
        if path == "/v1/auth/kubernetes/login":
            if body != {"role": "ingest", "jwt": "pod-token"}:
                return 403, {"errors": ["permission denied"]}
            return 200, {"auth": {"client_token": self._new_token()}}
        if headers.get("X-Vault-Token") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        if path.startswith("/v1/sys/internal/ui/mounts/"):
            return self._mount(path.removeprefix("/v1/sys/internal/ui/mounts/"))
        return self._secret(path.removeprefix("/v1/"))

    def _new_token(self) -> str:
        token = f"token-{len(self.tokens)}"
        self.tokens.add(token)
        return token

    def _mount(self, path: str) -> Answer:
        if not self.shows_mounts:
            return 403, {"errors": ["preflight capability check returned 403"]}
        root = path.split("/")[0]
        kinds: dict[str, tuple[str, Any]] = {
            "kv": ("kv", {"version": "2"}),
            "old": ("kv", {"version": "1"}),
            "database": ("database", None),
        }
        if root not in kinds:
            return 403, {"errors": ["preflight capability check returned 403"]}
        return 200, {"data": {"path": f"{root}/", "type": kinds[root][0], "options": kinds[root][1]}}

    def _secret(self, path: str) -> Answer:
        if path == "database/creds/reader":
            self.logins += 1
            made = {"username": f"v-reader-{self.logins}", "password": f"made-{self.logins}"}
            return 200, {"lease_id": f"{path}/{self.logins}", "lease_duration": self.lease_s, "data": made}
        root, _, rest = path.partition("/")
        if root == "old" and path in self.kv:
            return 200, {"lease_id": "", "lease_duration": 2_764_800, "data": self.kv[path]}
        if root == "kv" and rest.startswith("data/"):
            name = f"kv/{rest.removeprefix('data/')}"
            if name in self.kv:
                data = self.kv[name]
                document = {"data": data, "metadata": {"version": 2, "deletion_time": "" if data else "2026-01-01"}}
                return (200 if data else 404), {"lease_id": "", "lease_duration": 0, "data": document}
        return 404, {"errors": []}


class GoogleStandIn(StandIn):
    """https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access"""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, bytes] = {}

    def answer(self, method: str, path: str, headers: Any, body: Any) -> Answer:
        name = path.removeprefix("/v1/").removesuffix(":access")
        if "forbidden" in name:
            return 403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "denied"}}
        if name not in self.versions:
            return 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": f"Secret [{name}] not found."}}
        return 200, {"name": name, "payload": {"data": base64.b64encode(self.versions[name]).decode()}}


class AzureStandIn(StandIn):
    """https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret"""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}

    def answer(self, method: str, path: str, headers: Any, body: Any) -> Answer:
        if headers.get("Authorization") != "Bearer aad-token":
            return 401, {"error": {"code": "Unauthorized", "message": "AKV10000"}}
        name = path.removeprefix("/secrets/")
        if name not in self.values:
            return 404, {"error": {"code": "SecretNotFound", "message": "A secret was not found"}}
        return 200, {"value": self.values[name], "id": f"https://shop.vault.azure.net{path}/1"}


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            path = urlsplit(self.path).path
            stand_in.requests.append(path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if stand_in.fails:
                status, document = stand_in.fails.pop(0), {"errors": ["busy"]}
            else:
                status, document = stand_in.answer(method, path, self.headers, json.loads(content or b"null"))
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()
