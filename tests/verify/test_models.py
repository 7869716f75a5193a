"""Units in CDM mode: source keys of lost rows of models are found, and the rows are mapped and committed again."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.engine.reports import VerifyReport
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.service.runs.verification import verify
from ingest_ray.simulators.atlassian import simulate
from tests.strategies.test_cdm_runs import CdmInstallation
from tests.verify.table_world import counts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("unit", "model"), [("jira.issues", "item"), ("jira.comments", "comment")])
def test_lost_rows_of_models_are_found_and_mapped_again(
    tmp_path: Path, unit: str, model: str, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with simulate(issues=60, projects=2) as sim:
        there = CdmInstallation(tmp_path, {"jira": sim}, (unit,))
        there.run("jira")

        def verified(**options: Any) -> VerifyReport:
            return verify(there.installation, "jira", [unit], options=VerifyOptions(**options)).units[0]

        assert counts(verified()) == (0, 0, 0, 0)
        before = there.count(f"cdm.work.{model}")
        table = f"cdm_work_{model}"
        connection = sqlite3.connect(tmp_path / "models.db", isolation_level=None)
        connection.execute(f"delete from {table} where cdm_id in (select cdm_id from {table} order by cdm_id limit 3)")
        connection.close()
        assert counts(verified()) == (3, 0, 0, 0)
        assert verified(repair=True).remaining == 0
        assert there.count(f"cdm.work.{model}") == before
        with pytest.raises(ModeUnsupported, match="CDM mode"):
            verified(with_values=True)
