"""Readers on Ray reach a PostgreSQL through an SSH tunnel, under the planner's snapshot."""

from pathlib import Path

import psutil
import pytest

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
from ingest_ray.sdk.types import Endpoint, RunMode, RunState
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.servers.sshd import SshServer
from tests.connections.postgres_front import postgres_front
from tests.run.installation import Installation
from tests.strategies.jdbc.conftest import rehearsal

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


def test_readers_on_ray_share_the_snapshot_through_tunnels(tmp_path: Path, pg: Postgres, ssh_server: SshServer) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pg.run("INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 3000) n")
    pg.run("ANALYZE t")
    tunnel = {
        "host": "127.0.0.1",
        "port": ssh_server.port,
        "user": ssh_server.user,
        "private_key": ssh_server.plain_key.strip(),
        "host_key": ssh_server.host_key,
    }
    there = Installation(tmp_path, inline_below=0)
    with postgres_front(pg.folder) as front:
        config = {"host": "127.0.0.1", "port": front.port, "database": pg.name, "user": "postgres", "tunnel": tunnel}
        endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config=config)
        spec = rehearsal(endpoint, "public.t", 10, RunMode.FULL).spec.model_copy(update={"learned": None})
        sink = Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": str(tmp_path / "lake")})
        order = RunOrder(run_id=f"run-{tmp_path.name}", settings=there.settings, spec=spec, sink=sink)
        (summary,) = launch([order], lambda _: None, lambda: False)
    assert summary.error is None
    assert (summary.state, summary.executor, summary.rows.committed) == (RunState.SUCCEEDED, "ray", 3000)
    assert summary.slices.committed > 2
    assert front.plain > 3
    secret = ssh_server.plain_key.splitlines()[2].encode()
    left = [file for file in tmp_path.rglob("*") if file.is_file() and secret in file.read_bytes()]
    assert left == []
    arguments = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not any(secret.decode() in part for parts in arguments for part in parts)
