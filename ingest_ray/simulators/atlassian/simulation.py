"""A client of a running simulator for tests: its address and login, its counts, its mutations and its expected records."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from ingest_ray.simulators.atlassian.server.auth import CLIENT_ID, CLIENT_SECRET
from ingest_ray.simulators.atlassian.server.serving import ServingThread
from ingest_ray.simulators.atlassian.site_options import SiteOptions

_PAGE = 2_000


@dataclass(slots=True)
class Simulation:
    """Talks to `/__sim/...` over HTTP, whether the simulator runs in this process or in another."""

    url: str
    user: str
    token: str
    mode: str
    product: str

    @property
    def scoped_token(self) -> str:
        """An API token with the scopes of the site's options."""
        return f"scoped-{self.token}"

    @property
    def gateway_url(self) -> str:
        """Stands for https://api.atlassian.com."""
        return self.url

    @property
    def token_url(self) -> str:
        return f"{self.url}/oauth/token" if self.mode == "cloud" else f"{self.url}/rest/oauth2/latest/token"

    @property
    def app(self) -> dict[str, str]:
        """The id and secret of an OAuth 2.0 client."""
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    def call(self, method: str, path: str, document: Any = None) -> tuple[bytes, dict[str, str]]:
        body = None if document is None else json.dumps(document).encode()
        request = Request(
            f"{self.url}/__sim/{path}", data=body, method=method, headers={"content-type": "application/json"}
        )
        opener = build_opener(ProxyHandler({}))  # never through a proxy: this is loopback
        try:
            with opener.open(request, timeout=120) as answer:
                return answer.read(), dict(answer.headers)
        except HTTPError as failure:
            with failure:
                raise ValueError(failure.read().decode()) from None

    def _json(self, method: str, path: str, document: Any = None) -> Any:
        return json.loads(self.call(method, path, document)[0])

    def stats(self) -> dict[str, Any]:
        """requests, endpoints, statuses, too_many_requests, peak_concurrency, bytes, per_second, faults."""
        return dict(self._json("GET", "stats"))

    def reset_stats(self) -> None:
        self._json("POST", "reset_stats", {})

    def mutate(self, op: str, **arguments: Any) -> list[Any]:
        """Runs one operation, e.g. `mutate("update", count=500, seed=3)`; returns the ids that it changed."""
        return list(self._json("POST", "mutate", {"op": op, **arguments})["ids"])

    def mutate_all(self, *steps: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self._json("POST", "mutate", {"ops": list(steps)})["done"])

    def expected(self, kind: str = "", **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yields the expected records, read in large pages; `brief=True` leaves out bodies."""
        kind = kind or ("issues" if self.product == "jira" else "pages")
        offset, total, size = 0, 1, _PAGE * 25 if parameters.get("brief") else _PAGE
        while offset < total:
            query = urlencode(
                {
                    "kind": kind,
                    "offset": offset,
                    "limit": size,
                    **{k: str(v).lower() if isinstance(v, bool) else v for k, v in parameters.items()},
                }
            )
            body, headers = self.call("GET", f"expected?{query}")
            total = int(headers["x-total"])
            for line in body.split(b"\n"):
                if line:
                    yield msgspec.json.decode(line)
            offset += size

    def add_traps(self, *specs: str) -> list[str]:
        return list(self._json("POST", "traps", {"traps": list(specs)})["traps"])

    def change_rate_limit(self, rate: float) -> None:
        """Requests per second from now on; 0: no limit."""
        self._json("POST", "rate_limit", {"rate": rate})

    def advance_clock(self, seconds: float) -> int:
        return int(self._json("POST", "advance_clock", {"seconds": seconds})["now_ms"])

    def now_ms(self) -> int:
        return int(self._json("GET", "clock")["now_ms"])

    def rotate_token(self) -> str:
        """Makes the current token invalid and returns the new one; `self.token` stays the old one."""
        return str(self._json("POST", "rotate_token", {})["token"])

    def endpoints(self) -> list[str]:
        return list(self._json("GET", "endpoints"))


@contextmanager
def simulate(
    product: Literal["jira", "confluence"] = "jira",
    mode: Literal["cloud", "dc"] = "cloud",
    *,
    traps: Sequence[str] = (),
    process: bool = False,
    data: Path | str | None = None,
    **options: Any,
) -> Iterator[Simulation]:
    """Serves a site for the length of a `with` block, on a free loopback port.

    `options` are the other fields of `SiteOptions`: seed, issues, projects, pages, spaces, rate_limit, latency_ms, user_zone,
    site_zone, frozen ... With `process`, the site runs in a process of its own.
    """
    chosen = SiteOptions(product=product, mode=mode, traps=tuple(traps), data=Path(data) if data else None, **options)
    if process:
        with _other_process(chosen) as simulation:
            yield simulation
        return
    serving = ServingThread(chosen)
    try:
        login = serving.app.credentials
        yield Simulation(serving.app.url, login.user, login.token, mode, product)
    finally:
        serving.stop()


@contextmanager
def _other_process(options: SiteOptions) -> Iterator[Simulation]:
    command = [sys.executable, "-m", "ingest_ray.simulators.atlassian", options.product, "--mode", options.mode]
    for name in (
        "seed",
        "issues",
        "projects",
        "pages",
        "spaces",
        "users",
        "rate_limit",
        "latency_ms",
        "user_zone",
        "site_zone",
        "locale",
        "token_life_s",
        "quota",
        "clock_speed",
    ):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    for trap in options.traps:
        command += ["--trap", trap]
    if options.scopes is not None:
        command += ["--scopes", options.scopes]
    if options.data is not None:
        command += ["--data", str(options.data)]
    if options.frozen:
        command.append("--frozen")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line:
                raise RuntimeError("the simulator did not start")
            ready = json.loads(line)
            yield Simulation(ready["url"], ready["user"], ready["token"], ready["mode"], options.product)
        finally:
            child.terminate()
            child.wait(timeout=15)
