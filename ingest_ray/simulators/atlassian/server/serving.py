"""Runs a simulated site on a loopback port: in a thread of this process, or as this process."""

import socket
import threading
import time

import uvicorn

from ingest_ray.simulators.atlassian.server.application import SiteServer
from ingest_ray.simulators.atlassian.site import make_site_server
from ingest_ray.simulators.atlassian.site_options import SiteOptions

HOST = "127.0.0.1"
_START_S = 30.0


def bind(port: int) -> socket.socket:
    """Port 0 takes any free one."""
    # Without the protocol's number asyncio leaves Nagle's algorithm on, and every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    return listener


def make(options: SiteOptions, listener: socket.socket) -> tuple[SiteServer, uvicorn.Server]:
    app = make_site_server(options, f"http://{HOST}:{listener.getsockname()[1]}")
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="critical",  # answers that are cut by a trap would fill the log
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return app, uvicorn.Server(config)


class ServingThread:
    """A site that is served until `stop`."""

    def __init__(self, options: SiteOptions, port: int = 0) -> None:
        self._listener = bind(port)
        self.app, self._uvicorn = make(options, self._listener)
        self._thread = threading.Thread(target=self._uvicorn.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._uvicorn.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the simulator did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(timeout=10)
        self._listener.close()
