"""A ticket table in a real PostgreSQL feeds `cdm.work.item` in another schema of it, by expressions in ingest.yaml."""

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
from ingest_ray.testing.servers.postgres import Postgres

pytestmark = pytest.mark.services
ITEM = "cdm.work.item"
FIELDS = {
    "cdm_id": f"cdm_id('{ITEM}', ticket_no)",
    "source_id": "ticket_no",
    "summary": "title",
    "status": "lower(state)",
    "labels": "string_split(tags, ',')",
    "updated_at": "updated_at",
    "properties": "json_object('effort', effort)",
}


def test_a_ticket_table_feeds_the_common_data_model(tmp_path: Path, pg: Postgres) -> None:
    execute(
        pg,
        "create table tickets (ticket_no bigint primary key, title text, state text, tags text, effort numeric(6,2),"
        " updated_at timestamptz not null)",
    )
    execute(
        pg,
        "insert into tickets select n, 'ticket ' || n, 'OPEN', 'a,b', n / 4.0, '2024-01-01 00:00+00'::timestamptz"
        " + n * interval '1 second' from generate_series(1, 500) n",
    )
    rule = {"endpoint": "shop", "unit": "public.tickets", "enabled": True, "run_mode": "INCREMENTAL", "mode": "cdm"}
    document = {
        "endpoints": [{"id": "shop", "template": "jdbc.postgres", "config": {"url": pg.url, "schemas": ["public"]}}],
        "sinks": [{"id": "models", "template": "cdm.jdbc", "config": {"url": pg.url}}],
        "units": [
            {
                **rule,
                "sink_endpoint": "models",
                "policy": {"cursor": "updated_at", "lookback": 0},
                "cdm": {"models": {ITEM: FIELDS}},
            }
        ],
    }
    (tmp_path / "ingest.yaml").write_text(yaml.safe_dump(document))
    config = load_config(tmp_path / "ingest.yaml")
    apply(config)
    installation = Installation(config.settings)
    collect(installation, "shop")
    done = provision(installation, "models", ITEM)
    assert (done.schema_name, done.table_name) == ("cdm_work", "cdm_work_item")

    assert succeeded(run(installation, "shop")).units[0].models[ITEM].committed == 500
    columns = "cdm_id, summary, status, labels, properties ->> 'effort', _mapper_version"
    (row,) = execute(pg, f"select {columns} from cdm_work.cdm_work_item where source_id = '7'")
    assert list(row) == ["cdm:work:item:shop:7", "ticket 7", "open", ["a", "b"], "1.75", "expressions/1"]

    execute(pg, "update tickets set state = 'DONE', updated_at = now() where ticket_no in (3, 4)")
    execute(pg, "delete from tickets where ticket_no = 9")
    succeeded(run(installation, "shop"))
    found = execute(pg, "select status, count(*) from cdm_work.cdm_work_item group by 1 order by 1")
    assert [list(one) for one in found] == [["done", 2], ["open", 498]]
    assert succeeded(run(installation, "shop")).rows.read == 0


def succeeded(report: RunReport) -> RunReport:
    assert report.state is RunState.SUCCEEDED, [unit.error for unit in report.units]
    return report


def execute(pg: Postgres, sql: str) -> list[Any]:
    connection = pg.connect()
    cursor = connection.cursor()
    cursor.execute(sql)
    rows = list(cursor.fetchall()) if cursor.description else []
    connection.commit()
    connection.close()
    return rows
