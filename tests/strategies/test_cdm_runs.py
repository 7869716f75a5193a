"""Jira and Confluence into one common data model: everything arrives, ids resolve, running again changes nothing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_ray.config import load_config
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.provision import provision
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import RunReport, run
from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.test_cdm_mappers import endpoint_of

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
WORK = tuple(f"cdm.work.{name}" for name in ("project", "user", "item", "comment", "worklog"))
DOC = tuple(f"cdm.doc.{name}" for name in ("space", "item", "revision", "link", "access"))
JIRA = ("jira.projects", "jira.users", "jira.issues", "jira.comments", "jira.worklogs")
CONFLUENCE = ("confluence.space", "confluence.page", "confluence.attachment", "confluence.acl")
REFERENCES = {
    "cdm_work_item": {
        "project_cdm_id": "cdm_work_project",
        "reporter_cdm_id": "cdm_work_user",
        "assignee_cdm_id": "cdm_work_user",
    },
    "cdm_work_comment": {"item_cdm_id": "cdm_work_item", "author_cdm_id": "cdm_work_user"},
    "cdm_work_worklog": {"item_cdm_id": "cdm_work_item", "author_cdm_id": "cdm_work_user"},
    "cdm_doc_item": {"space_cdm_id": "cdm_doc_space"},
    "cdm_doc_revision": {"item_cdm_id": "cdm_doc_item"},
    "cdm_doc_link": {"from_item_cdm_id": "cdm_doc_item"},
    "cdm_doc_access": {"doc_cdm_id": "cdm_doc_item"},
}
JOINED = """
select i.source_issue_key, u.display_name, count(distinct c.cdm_id) as comments, count(distinct p.cdm_id) as pages
from cdm_work_item i
join cdm_work_user u on u.cdm_id = i.assignee_cdm_id
join cdm_work_comment c on c.item_cdm_id = i.cdm_id
join cdm_doc_item p on p.updated_by_cdm_id = u.cdm_id
where i._deleted_at is null and p._deleted_at is null
group by i.cdm_id, u.cdm_id
"""


class CdmInstallation:
    """An installation with a CDM database in SQLite, and simulated sites as its sources."""

    def __init__(self, folder: Path, sites: dict[str, Simulation], units: tuple[str, ...]) -> None:
        self._folder = folder
        rules = [
            {"endpoint": unit.split(".")[0], "unit": unit, "enabled": True, "mode": "cdm", "sink_endpoint": "models"}
            | {"cdm": {"system": "acme"}}
            for unit in units
        ]
        document = {
            "endpoints": [
                {
                    "id": product,
                    "template": (endpoint := endpoint_of(sim, product)).template,
                    # Of what is below a folder nobody can tell the readers; here no folder is restricted.
                    "config": endpoint.config | ({"acl_folders": "open"} if product == "confluence" else {}),
                }
                for product, sim in sites.items()
            ],
            "sinks": [{"id": "models", "template": "cdm.jdbc", "config": {"url": "sqlite:///models.db"}}],
            "units": rules,
        }
        (folder / "ingest.yaml").write_text(yaml.safe_dump(document))
        config = load_config(folder / "ingest.yaml")
        apply(config)
        self.installation = Installation(config.settings)
        for product in sites:
            collect(self.installation, product)
        for model_id in (*WORK, *DOC):
            provision(self.installation, "models", model_id)

    def run(self, endpoint_id: str, *units: str) -> RunReport:
        report = run(self.installation, endpoint_id, units)
        assert report.state is RunState.SUCCEEDED, [unit.error for unit in report.units]
        assert report.rows.quarantined == 0
        return report

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._folder / "models.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def count(self, model_id: str) -> int:
        return int(self.select(f"select count(*) from {model_id.replace('.', '_')} where _deleted_at is null")[0][0])

    def dangling(self) -> dict[str, int]:
        """The number of references to missing rows, by table and column."""
        counts = {}
        for table, columns in REFERENCES.items():
            for column, other in columns.items():
                ((count,),) = self.select(
                    f"select count(*) from {table} t where t._deleted_at is null and t.{column} is not null"
                    f" and not exists (select 1 from {other} o where o.cdm_id = t.{column} and o._deleted_at is null)"
                )
                counts[f"{table}.{column}"] = int(count)
        return {name: count for name, count in counts.items() if count}

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows, without the columns that name the run; a row without a cursor has the run's number as its version."""
        of_the_run = ("_ingest_run_id", "_ingest_slice", "_ingest_at", "_source_version")
        content = {}
        for model_id in (*WORK, *DOC):
            table = model_id.replace(".", "_")
            columns = [str(row[1]) for row in self.select(f"pragma table_info({table})")]
            names = ", ".join(f'"{name}"' for name in columns if name not in of_the_run)
            content[table] = self.select(f"select {names} from {table} order by cdm_id")
        return content


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, Simulation]]:
    with simulate("jira", issues=120, projects=3) as jira, simulate("confluence", pages=60, spaces=2) as confluence:
        yield {"jira": jira, "confluence": confluence}


def test_two_sites_in_one_model_resolve_join_and_do_not_change_when_run_again(
    tmp_path: Path, sites: dict[str, Simulation]
) -> None:
    installation = CdmInstallation(tmp_path, sites, (*JIRA, *CONFLUENCE))
    installation.run("jira")
    installation.run("confluence")
    jira = sites["jira"]
    assert installation.count("cdm.work.item") == len(list(jira.expected("issues"))) == 120
    assert installation.count("cdm.work.comment") == sum(
        len(r["issue"]["fields"]["comment"]) for r in jira.expected("issues")
    )
    assert all(installation.count(model_id) > 0 for model_id in (*WORK, *DOC))
    assert installation.dangling() == {}
    rows = installation.select(JOINED)
    assert rows
    assert all(comments > 0 and pages > 0 for _, _, comments, pages in rows)
    before = installation.content()
    installation.run("jira")
    installation.run("confluence", "confluence.space", "confluence.page", "confluence.attachment")
    assert installation.content() == before


def test_moved_deleted_and_trashed_content_leaves_no_stale_row(tmp_path: Path, sites: dict[str, Simulation]) -> None:
    installation = CdmInstallation(tmp_path, sites, (*JIRA, *CONFLUENCE))
    installation.run("jira")
    installation.run("confluence")
    jira, confluence = sites["jira"], sites["confluence"]
    jira.mutate("move", count=3, seed=1)
    jira.mutate("delete-worklog", count=2, seed=5)
    confluence.mutate("trash", count=3, seed=4)
    for sim in (jira, confluence):
        sim.advance_clock(3600)
    installation.run("jira")
    installation.run("confluence", "confluence.page", "confluence.attachment")
    truth = {record["key"] for record in jira.expected("issues")}
    keys = {
        key for (key,) in installation.select("select source_issue_key from cdm_work_item where _deleted_at is null")
    }
    assert keys == truth
    assert installation.count("cdm.work.worklog") == sum(
        len(record["issue"]["fields"]["worklog"]) for record in jira.expected("issues")
    )
    of_items = {name for name in installation.dangling() if name.startswith("cdm_work")}
    assert of_items == set()
    assert installation.select("select count(*) from cdm_doc_item where _deleted_at is not null")[0][0] >= 3


@pytest.mark.parametrize("count", [1_500, pytest.param(6_686, marks=pytest.mark.faults)])
def test_real_issues_map_without_a_single_quarantine(tmp_path: Path, count: int) -> None:
    if not (DATA / "jira-issues.jsonl.gz").exists():
        pytest.skip("no real issues beside the project: ../shared/data/jira-issues.jsonl.gz")
    with simulate("jira", "dc", issues=count, data=DATA) as sim:
        installation = CdmInstallation(tmp_path, {"jira": sim}, JIRA)
        report = installation.run("jira")
        issues = comments = described = with_text = 0
        for record in sim.expected("issues"):
            fields = record["issue"]["fields"]
            issues += 1
            comments += len(fields["comment"])
            described += bool((fields["description"] or "").strip())
            with_text += sum(bool(comment["body"].strip()) for comment in fields["comment"])
        counts = {model: counts for unit in report.units for model, counts in unit.models.items()}
    assert issues == count
    assert installation.count("cdm.work.item") == counts["cdm.work.item"].mapped == issues
    assert installation.count("cdm.work.comment") == counts["cdm.work.comment"].mapped == comments
    assert installation.dangling() == {}
    ((stored,),) = installation.select("select count(*) from cdm_work_item where length(description) > 0")
    assert 0.99 * described < stored <= described  # some descriptions are markup and nothing else
    ((stored,),) = installation.select("select count(*) from cdm_work_comment where length(body) > 0")
    assert 0.99 * with_text < stored <= with_text
    ((longest,),) = installation.select("select max(length(raw_source)) from cdm_work_item")
    assert longest < 64 * 1024
