"""A slot that makes its server keep much of the log is told, also of a unit that is disabled, and so is a slot that is lost."""

from datetime import timedelta
from pathlib import Path

import pytest

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.monitoring.alerting import LOGS_EVERY_S, check_logs
from ingest_ray.service.runs.change_log import drop_unit_log
from ingest_ray.service.runs.execution import run
from ingest_ray.service.upkeep.doctor import diagnose
from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.log_world import drop_slots
from tests.monitoring.receiver import receiving
from tests.monitoring.test_alerts import look
from tests.monitoring.test_freshness import NOW
from tests.service.workspace import Workspace

pytestmark = pytest.mark.services
UNIT = "public.t"


def test_a_slot_that_keeps_too_much_is_told_until_its_log_is_let_go(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, 'n' FROM generate_series(1, 5) i")
    workspace = Workspace(tmp_path)
    workspace.document["endpoints"] = [
        {"id": "shop", "template": "jdbc.postgres", "config": {"url": pg.url, "schemas": ["public"]}}
    ]
    rule = {"endpoint": "shop", "unit": UNIT, "sink": "lake", "run_mode": "CHANGES", "policy": {"max_retained_mb": 400}}
    workspace.document["units"] = [{**rule, "enabled": True}]
    with receiving() as receiver:
        workspace.document["alerts"] = {"receivers": [{"id": "hook", "url": receiver.url}]}
        workspace.apply()
        collect(workspace.installation, "shop")
        moments = (NOW + n * timedelta(seconds=LOGS_EVERY_S + 60) for n in range(10))
        try:
            assert run(workspace.installation, "shop").state == "SUCCEEDED"
            assert check_logs(workspace.installation, next(moments)) == 1
            workspace.document["units"] = [{**rule, "enabled": False, "policy": {"max_retained_mb": 1}}]
            workspace.apply()
            pg.run("SELECT pg_logical_emit_message(true, 'noise', repeat('x', 900000))")
            at = next(moments)
            assert check_logs(workspace.installation, at) == 1
            assert check_logs(workspace.installation, at) == 0  # another server has looked just now
            look(workspace.installation, at)
            assert receiver.kinds("log-retained") == [("incident.opened", "log-retained", (UNIT,))]
            (warned,) = [found for found in diagnose(workspace.installation).findings if found.check == "logs"]
            assert (warned.status, "changes drop shop public.t" in str(warned.hint)) == ("warning", True)
            drop_unit_log(workspace.installation, UnitRef("shop", UNIT))
            at = next(moments)
            check_logs(workspace.installation, at)
            look(workspace.installation, at)
            assert receiver.kinds("log-retained")[1:] == [("incident.recovered", "log-retained", (UNIT,))]
        finally:
            drop_slots(pg)


def test_without_a_bound_of_its_own_the_bound_of_the_alerts_counts_and_a_source_that_is_away_says_nothing(
    tmp_path: Path,
) -> None:
    from ingest_ray.sdk.types import RunFault
    from ingest_ray.service.monitoring.observations import observe_log
    from ingest_ray.service.units.unit_status import UnitLog

    ids = {"endpoint_id": "shop", "unit_id": UNIT}
    judged = [
        (observed.is_present, observed.count)
        for retained, bound in ((900, None), (1100, None), (1100, 3000), (1600, 3000), (2, 3))
        if (observed := observe_log(UnitLog(retained_bytes=retained * 1_000_000, max_retained_mb=bound, **ids), 1000))
    ]
    assert judged == [(False, 900), (True, 1100), (False, 1100), (True, 1600), (True, 2)]
    lost = observe_log(UnitLog(state="lost", **ids), 1000)
    assert lost is not None
    assert (lost.is_present, lost.code) == (True, "E_LOG_GONE")
    away = UnitLog(state="unknown", error=RunFault(code="E_SOURCE_PAGE_FAILED", message="away"), **ids)
    assert observe_log(away, 1000) is None
