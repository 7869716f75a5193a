"""The real servers of all tests, each started once; and, before anything imports Ray, how its local cluster is protected."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from ingest_ray import logs
from ingest_ray.testing.plugins import add_to_path
from tests import compiled_statements
from tests.scheduling import SharedServers, rank
from tests.searches import IS_LONG

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)

add_to_path(Path(__file__).parent / "plugins")  # offers the scripted source, in the processes that tests start, too

# No deadline: a busy machine takes its time.
compiled_statements.share()

settings.register_profile("short", derandomize=True, database=None, deadline=None)
if not IS_LONG:
    settings.load_profile("short")

pytest_plugins = [
    "ingest_ray.testing.servers.postgres",
    "ingest_ray.testing.servers.pgbouncer",
    "ingest_ray.testing.servers.mariadb",
    "ingest_ray.testing.servers.sshd",
    "ingest_ray.testing.servers.redis",
    "tests.quick_sites",
    "tests.strategies.jdbc.maria",
]

SERVERS = {"ssh_server", "postgres_server", "killable_postgres", "mariadb_server", "redis_server", "pgbouncer"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    config.option.loadscopereorder = False
    return SharedServers(config, log)


def pytest_sessionstart() -> None:
    gc.disable()  # nothing that is collected is garbage


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of garbage looks at its million objects again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for a server is marked `services`; what waits longest comes first."""
    items.sort(key=lambda item: rank(item.nodeid))
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.services)


@pytest.fixture(autouse=True)
def _short_secrets_of_one_test() -> Iterator[None]:
    """A test that hides a common word, such as `secret`, must not change the texts that later tests of the process see."""
    hidden = logs._hidden_secrets
    before = frozenset(hidden._known)
    yield
    for word in set(hidden._known) - before:
        if len(word) < 8:
            hidden._known.discard(word)
            hidden._words.discard(word)
