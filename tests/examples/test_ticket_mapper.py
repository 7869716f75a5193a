"""The mapper of `examples/`: from a CSV file to rows of the common data model."""

from pathlib import Path

import duckdb
import pytest
import yaml

from tests.cli.in_process import InProcessCli

TICKETS = "id:int64,title,owner\n1,Broken lamp,ann\n2,No light,ann\n3,,bob\n4,Noise,\n"


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "tickets.csv").write_text(TICKETS)
    unit = {"endpoint": "desk", "unit": "tickets", "sink_endpoint": "models", "enabled": True, "mode": "cdm"}
    document = {
        "endpoints": [{"id": "desk", "template": "example.tickets", "config": {"folder": str(tmp_path / "files")}}],
        "sinks": [{"id": "models", "template": "duckdb", "config": {"path": "models.duckdb"}}],
        "units": [unit | {"policy": {"primary_key": ["id"]}, "cdm": {"system": "acme"}}],
    }
    (tmp_path / "ingest.yaml").write_text(yaml.safe_dump(document))
    return InProcessCli(tmp_path, capfd)


@pytest.mark.slow
def test_tickets_become_items_and_users_and_a_ticket_without_title_goes_to_quarantine(
    tmp_path: Path, cli: InProcessCli
) -> None:
    cli.json("apply")
    cli.json("collect", "desk")
    for _ in range(2):
        done = cli.json("run", "desk")
        assert (done["rows"]["read"], done["rows"]["quarantined"]) == (4, 1)
    with duckdb.connect(str(tmp_path / "models.duckdb")) as database:
        tables = {
            row[1]: row[0]
            for row in database.sql("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        }
        item = f"{tables['cdm_work_item']}.cdm_work_item"
        user = f"{tables['cdm_work_user']}.cdm_work_user"
        items = database.sql(f"SELECT cdm_id, summary, assignee_cdm_id FROM {item} ORDER BY 1").fetchall()
        users = database.sql(f"SELECT DISTINCT cdm_id FROM {user}").fetchall()
    assert items == [
        ("cdm:work:item:acme:1", "Broken lamp", "cdm:work:user:acme:ann"),
        ("cdm:work:item:acme:2", "No light", "cdm:work:user:acme:ann"),
        ("cdm:work:item:acme:4", "Noise", None),
    ]
    assert users == [("cdm:work:user:acme:ann",)]
