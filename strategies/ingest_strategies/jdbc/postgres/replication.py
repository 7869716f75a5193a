"""Commands of the replication protocol, which ordinary connections do not have.

https://www.postgresql.org/docs/current/protocol-replication.html
"""

from typing import Any

from pg8000.exceptions import Error

from ingest_ray.connections.copy_wire import CopyWire, WireError
from ingest_ray.sdk.errors import SourceDenied
from ingest_strategies.jdbc.postgres.copy_session import login_of
from ingest_strategies.jdbc.postgres.session import PostgresSession
from ingest_strategies.jdbc.sessions.faults import without_secrets


def run_replication_command(session: PostgresSession, command: str) -> list[tuple[Any, ...]]:
    """Its rows, over a connection of its own to the session's server.

    Raises:
        SourceDenied: the server accepts no such connection from the role.
    """
    config, reach, fault = session.login
    try:
        wire = CopyWire(**login_of(config, reach), replication="database")
    except (Error, OSError) as error:
        text = error.args[0].get("M", "") if error.args and isinstance(error.args[0], dict) else str(error)
        raise SourceDenied(f"no replication connection: {without_secrets(text, config.secrets)}") from None
    try:
        return wire.rows(command)
    except (WireError, OSError) as error:
        state = error.state or None if isinstance(error, WireError) else None
        raise fault(without_secrets(str(error), config.secrets), state) from None
    finally:
        wire.close()
