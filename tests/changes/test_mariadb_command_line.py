"""A table of MariaDB whose changes are read, from the command line: configured, planned, run, watched, loaded again."""

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.testing.servers.mariadb import MariaDatabase
from tests import forks
from tests.changes.binlog_world import write

pytestmark = pytest.mark.services


def test_changes_from_the_command_line(tmp_path: Path, maria_log: MariaDatabase) -> None:
    def call(*arguments: str) -> dict[str, Any]:
        done = forks.run_module("ingest_ray.cli", *arguments, "--json", cwd=tmp_path)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    unit = f"{maria_log.name}.orders"
    (tmp_path / "ingest.yaml").write_text(
        f"""\
ray: {{address: local, num_cpus: 2, object_store_bytes: 104857600}}
endpoints:
  - {{id: shop, template: jdbc.mysql, config: {{url: "{maria_log.url}"}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: "{maria_log.name}.*", sink: lake, enabled: true, run_mode: CHANGES}}
"""
    )
    maria_log.run("CREATE TABLE orders (id int PRIMARY KEY, note varchar(50))")
    maria_log.run("INSERT INTO orders SELECT seq, 'n' FROM seq_1_to_20")
    call("apply")
    call("collect", "shop")
    planned = call("plan", "shop", unit)
    assert "facts" in planned, planned
    assert planned["facts"]["columns"] == "named in the log"
    assert planned["facts"]["retention"] == "until it is purged by hand"
    assert call("run", "shop")["rows"]["committed"] == 20
    write(maria_log, "DELETE FROM orders WHERE id = 3", "UPDATE orders SET note = 'changed' WHERE id = 4")
    log = call("status", "shop", unit)["units"][0]["log"]
    assert log["lag_bytes"] > 0
    assert log["retained_bytes"] >= log["lag_bytes"]
    assert call("run", "shop")["rows"]["committed"] == 2
    rows = DeltaTable(str(tmp_path / "lake" / "shop" / unit)).to_pyarrow_table().to_pylist()
    notes = {row["id"]: row["note"] for row in rows}
    assert (notes[4], 3 in notes) == ("changed", False)
    assert call("verify", "shop", unit)["state"] == "SUCCEEDED"
    write(maria_log, "INSERT INTO orders VALUES (30, 'x')", "RENAME TABLE orders TO o2", "RENAME TABLE o2 TO orders")
    assert call("run", "shop")["error"]["code"] == "E_LOG_GONE"
    call("reset", "shop", unit, "--yes")
    assert call("run", "shop")["rows"]["committed"] == 20
