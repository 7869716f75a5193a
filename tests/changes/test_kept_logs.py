"""Logs that a source keeps and no unit reads are named: of units that are disabled or deleted, and of endpoints that were renamed."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from ingest_ray.service.upkeep.doctor import diagnose
from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.log_world import drop_slots, slots
from tests.cli.in_process import InProcessCli
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow


def logged(workspace: Workspace) -> list[tuple[str, str | None]]:
    found = diagnose(workspace.installation).findings
    return [(item.message, item.hint) for item in found if item.check == "kept logs" and item.status != "ok"]


def test_logs_that_nothing_reads_are_named(tmp_path: Path, pg: Postgres, capfd: pytest.CaptureFixture[str]) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE u (id int PRIMARY KEY)")
    workspace = Workspace(tmp_path)
    source = {"id": "shop", "template": "jdbc.postgres", "config": {"url": pg.url}}
    unit: dict[str, Any] = {"endpoint": "shop", "unit": "public.t", "sink": "lake", "enabled": True}
    workspace.document["endpoints"] = [source]
    workspace.document["units"] = [unit | {"run_mode": "CHANGES"}]
    try:
        workspace.apply()
        collect(workspace.installation, "shop")
        run(workspace.installation, "shop")
        (name,) = slots(pg)
        assert logged(workspace) == []
        cli = InProcessCli(tmp_path, capfd)
        (log,) = cli.json("changes", "status", "shop")["logs"]
        assert (log["name"], log["endpoint_id"], log["reason"]) == (name, "shop", None)
        workspace.document["units"] = [unit | {"run_mode": "CHANGES", "enabled": False}]
        workspace.apply()
        ((message, hint),) = logged(workspace)
        assert "no unit of endpoint 'shop' that is enabled has run_mode CHANGES" in message
        assert "ingest-ray changes drop shop" in str(hint)
        workspace.document["endpoints"] = [source | {"id": "store"}]
        workspace.document["units"] = [unit | {"endpoint": "store", "unit": "public.u"}]
        workspace.apply()
        ((message, hint),) = logged(workspace)
        assert f"'{name}': it is of no unit of this installation" in message
        assert f"pg_drop_replication_slot('{name}')" in str(hint)
        code, out, _ = cli.run("changes", "status", "store")
        assert (code, name in out, "of no unit" in out) == (0, True, True)
    finally:
        drop_slots(pg)
