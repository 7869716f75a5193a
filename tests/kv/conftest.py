"""A PostgreSQL that a test may stop and start again."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def restart_postgres(postgres_server: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    """Stop and start the server."""
    return postgres_server.stop, postgres_server.start
