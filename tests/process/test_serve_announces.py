"""`serve` says its address when it answers there, not before."""

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from ingest_ray.server import serve


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def test_who_reads_the_address_can_connect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    said: list[str] = []

    def connect(line: str, **_: Any) -> None:
        said.append(line)
        socket.create_connection(listening.getsockname(), timeout=10).close()
        server.should_exit = True

    monkeypatch.setattr(serve, "print", connect, raising=False)
    server = serve.AnnouncingServer("http://here/console/", uvicorn.Config(app, log_config=None))
    asyncio.run(server.serve(sockets=[listening]))
    assert said == ["serving http://here/console/"]
