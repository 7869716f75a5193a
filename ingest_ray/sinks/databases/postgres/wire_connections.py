"""Connections whose messages this process writes itself, each in a transaction that has begun."""

import logging
from contextlib import suppress
from typing import Any

from ingest_ray.sinks.databases.connection_pool import ConnectionPool
from ingest_ray.sinks.databases.postgres.login import plain_login

log = logging.getLogger(__name__)

LOCK_TIMEOUT_S = 60


class WireConnections:
    """Those of one database, for `owner`: they are closed when it is collected."""

    def __init__(self, owner: object, url: str) -> None:
        self._url = url
        self._idle = ConnectionPool(owner, lambda wire: wire.close())

    def begin(self) -> Any | None:
        """A `CopyWire`; None where only the driver can connect."""
        login = plain_login(self._url)
        if login is None:
            return None
        from pg8000.exceptions import Error  # it alone needs pg8000

        from ingest_ray.connections.copy_wire import CopyWire, WireError
        from ingest_ray.sinks.databases.postgres.copy_encoder import load_encoder

        load_encoder()
        while (wire := self._idle.take()) is not None:  # one that was lost fails here, before anything was changed
            with suppress(WireError, OSError):
                return _begun(wire)
            wire.close_socket()
        try:
            return _begun(CopyWire(**login))
        except (Error, WireError, OSError) as error:  # the driver connects, or its error says why not
            log.debug("connecting through libpq: %s", type(error).__name__)
            return None

    def give_back(self, wire: Any) -> None:
        """`wire` is in no transaction."""
        self._idle.give_back(wire)


def _begun(wire: Any) -> Any:
    wire.execute("begin")
    wire.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
    return wire
