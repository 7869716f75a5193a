"""Access rows exist exactly for what has readers that are known, and follow it in the same run, however the unit is configured."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable

from ingest_ray.config import load_config
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.provision import provision
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import plan, run
from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.confluence.site import endpoint_of

pytestmark = pytest.mark.slow
UNITS = ("confluence.acl", "confluence.attachment_acl")


def install(folder: Path, sim: Simulation, mode: str, **rule: Any) -> Installation:
    sink = {"id": "lake", "template": "lake.delta", "config": {"uri": str(folder / "lake")}}
    if mode == "cdm":
        sink = {"id": "lake", "template": "cdm.jdbc", "config": {"url": "sqlite:///models.db"}}
    target = {"mode": "cdm", "sink_endpoint": "lake"} if mode == "cdm" else {"sink": "lake"}
    rules = [{"endpoint": "wiki", "unit": unit, "enabled": True, **target, **rule} for unit in UNITS]
    endpoint = {"id": "wiki", "template": "http.confluence", "config": endpoint_of(sim).config}
    (folder / "ingest.yaml").write_text(yaml.safe_dump({"endpoints": [endpoint], "sinks": [sink], "units": rules}))
    config = load_config(folder / "ingest.yaml")
    apply(config)
    installation = Installation(config.settings)
    collect(installation, "wiki")
    if mode == "cdm":
        provision(installation, "lake", "cdm.doc.access")
    return installation


def documents(folder: Path, mode: str) -> set[str]:
    """The ids of what anyone may read."""
    if mode == "cdm":
        with sqlite3.connect(folder / "models.db") as connection:
            query = "select distinct doc_cdm_id from cdm_doc_access where _deleted_at is null"
            found = {str(number).rpartition(":")[2] for (number,) in connection.execute(query)}
        connection.close()
        return found
    rows = [
        row
        for unit in UNITS
        for row in DeltaTable(str(folder / "lake" / "wiki" / unit)).to_pyarrow_table().to_pylist()
        if row.get("_deleted_at") is None and row["readers"]
    ]
    return {row["content_id"] for row in rows}


def readable(sim: Simulation) -> set[str]:
    """What has readers that can be known: nothing in the trash or below a folder; files of current pages."""
    known = {
        record["id"]
        for record in sim.expected("readers")
        if record["status"] != "trashed" and record["users"] and not record["folder_above"]
    }
    files = (
        (page, file["id"])
        for page in sim.expected("pages")
        if page["status"] == "current"
        for file in page["attachments"]
    )
    return known | {file for page, file in files if page["id"] in known}


@pytest.mark.parametrize("mode", ["raw", "cdm"])
def test_an_incremental_unit_of_readers_keeps_no_row_of_what_is_gone(tmp_path: Path, mode: str) -> None:
    with simulate("confluence", pages=70, spaces=2, frozen=True) as sim:
        installation = install(tmp_path, sim, mode, run_mode="INCREMENTAL")
        assert run(installation, "wiki", ()).state is RunState.SUCCEEDED
        before = documents(tmp_path, mode)
        assert before == readable(sim)
        sim.mutate("trash", count=4, seed=1)
        sim.mutate("purge", count=4, seed=2)
        sim.mutate("restrict", count=3, seed=3, readers=["u1"])  # away from the account
        sim.mutate("reparent", count=8, seed=4)
        sim.advance_clock(600)
        assert run(installation, "wiki", ()).state is RunState.SUCCEEDED
        assert documents(tmp_path, mode) == readable(sim) != before


def test_a_unit_of_readers_that_upserts_is_refused_and_the_plan_says_what_an_incremental_one_is(tmp_path: Path) -> None:
    with simulate("confluence", pages=20, spaces=1, frozen=True) as sim:
        installation = install(tmp_path, sim, "raw", run_mode="INCREMENTAL")
        previews = [plan(installation, UnitRef("wiki", unit)) for unit in UNITS]
        assert {str(one.facts["chosen"]) for one in previews} == {"FULL, because each run reads all of it"}
        (tmp_path / "other").mkdir()
        upserting = install(tmp_path / "other", sim, "raw", run_mode="FULL", policy={"write": "upsert"})
        with pytest.raises(ModeUnsupported, match="is replaced by each run"):
            run(upserting, "wiki", ())
