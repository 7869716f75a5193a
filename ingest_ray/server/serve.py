"""Runs the server until it is stopped."""

import asyncio
import logging
import socket
import sys

import uvicorn

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.server.app import build_app
from ingest_ray.server.deadlines import protocol_with_deadline
from ingest_ray.server.identity import check_anonymous_access
from ingest_ray.service.installation import Installation


class AnnouncingServer(uvicorn.Server):
    """Says where it serves once requests are answered: what waits for the line may connect at once."""

    def __init__(self, url: str, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"serving {self._url}", file=sys.stderr, flush=True)


def serve(installation: Installation, host: str | None, port: int | None, *, has_console: bool) -> None:
    """Raises `ConfigError` where it cannot listen."""
    settings = installation.settings.serve
    host, port = host or settings.host, settings.port if port is None else port
    check_anonymous_access(installation, host)
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    port = listening.getsockname()[1]
    app = build_app(installation, has_console=has_console)
    url = f"http://{shown}:{port}/console/" if has_console else f"http://{shown}:{port}/graphql"
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its lines have the ids of browsers' sessions in them
    server = AnnouncingServer(
        url,
        uvicorn.Config(
            app,
            http=protocol_with_deadline(settings.request_timeout_s),
            ws_per_message_deflate=False,  # a small frame may decode to a large one
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            ws_max_size=settings.max_body_bytes,
            proxy_headers=bool(settings.trusted_proxies),  # else any caller could choose its address
            forwarded_allow_ips=list(settings.trusted_proxies),
        ),
    )
    asyncio.run(server.serve(sockets=[listening]))


def _listen(host: str, port: int) -> socket.socket:
    listening: socket.socket | None = None
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, number)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="serve --port 0 takes any"
        ) from None
    return listening
