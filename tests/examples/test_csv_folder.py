"""The CSV source of `examples/`: the contract's suite, and whole runs through the product into a Delta lake."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.suites.strategy import KnownUnit, strategy_suite
from tests.cli.in_process import InProcessCli
from tests.examples.conftest import EXAMPLES

SAMPLE = Endpoint(
    endpoint_id="files", template="example.csv", config={"folder": str(EXAMPLES / "csv_folder" / "sample")}
)
ROWS = [
    {"id": 1, "item": "lamp", "price": Decimal("19.90"), "sold": date(2026, 1, 5)},
    {"id": 2, "item": "chair, red", "price": Decimal("120.00"), "sold": date(2026, 1, 6)},
    {"id": 3, "item": "table", "price": None, "sold": date(2026, 1, 6)},
]

TestCsvFolder = strategy_suite(lambda: KnownUnit(strategy_for("example.csv"), SAMPLE, "orders", ROWS, least_slices=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "orders.csv").write_text((EXAMPLES / "csv_folder" / "sample" / "orders.csv").read_text())
    return tmp_path


@pytest.fixture
def cli(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    document = {
        "endpoints": [{"id": "files", "template": "example.csv", "config": {"folder": str(folder / "files")}}],
        "sinks": [{"id": "lake", "template": "lake.delta", "config": {"uri": "./lake"}}],
        "units": [{"endpoint": "files", "unit": "*", "sink": "lake", "enabled": True}],
    }
    (folder / "ingest.yaml").write_text(yaml.safe_dump(document))
    return InProcessCli(folder, capfd)


def lake(folder: Path) -> list[dict[str, Any]]:
    table = DeltaTable(folder / "lake" / "files" / "orders").to_pyarrow_table().sort_by("id")
    return list(table.select(["id", "item", "price", "sold"]).to_pylist())


def test_the_source_has_at_most_30_lines() -> None:
    assert len((EXAMPLES / "csv_folder" / "csv_folder.py").read_text().splitlines()) <= 30


def test_from_files_to_rows_in_the_lake_and_a_second_run_replaces_them(folder: Path, cli: InProcessCli) -> None:
    cli.json("apply")
    assert cli.json("collect", "files")["differences"]["added"] == ["orders"]
    assert cli.json("run", "files")["rows"]["committed"] == 3
    assert lake(folder) == ROWS
    (folder / "files" / "orders.csv").write_text('id:int64,item,"price:decimal128(10, 2)",sold:date32\n9,bed,1.5,\n')
    assert cli.json("run", "files")["rows"]["committed"] == 1
    assert lake(folder) == [{"id": 9, "item": "bed", "price": Decimal("1.50"), "sold": None}]


def test_a_line_that_does_not_fit_goes_to_quarantine(folder: Path, cli: InProcessCli) -> None:
    with (folder / "files" / "orders.csv").open("a") as file:
        file.write("four,sofa,1.00,2026-01-06\n5,stool\n6,shelf,1,2,3\n7,desk,2.00,2026-01-07\n")
    cli.json("apply")
    cli.json("collect", "files")
    rows = cli.json("run", "files")["rows"]
    assert (rows["read"], rows["committed"], rows["quarantined"]) == (7, 4, 3)
    assert [row["id"] for row in lake(folder)] == [1, 2, 3, 7]


def test_a_missing_folder_and_a_missing_file_are_typed_errors(folder: Path, cli: InProcessCli) -> None:
    cli.json("apply")
    cli.json("collect", "files")
    (folder / "files" / "orders.csv").unlink()
    assert cli.json("run", "files", code=1)["error"]["code"] == "E_SOURCE_CHANGED"
    (folder / "files").rmdir()
    assert cli.json("collect", "files", code=1)["error"]["code"] == "E_SOURCE_CHANGED"
    report = strategy_for("example.csv").test(SAMPLE.model_copy(update={"config": {"folder": str(folder / "files")}}))
    assert (report.ok, report.diagnostics[0].code) == (False, "E_SOURCE_CHANGED")


def test_a_type_that_is_none_is_refused_when_it_is_collected(folder: Path, cli: InProcessCli) -> None:
    (folder / "files" / "orders.csv").write_text("id:int64,price:double\n1,2.5\n")
    cli.json("apply")
    error = cli.json("collect", "files", code=2)["error"]
    assert error["message"] == "dataset 'orders', column 'price': 'double' is not the text of an Arrow type"
    assert error["hint"] == "write 'float64', or give the pyarrow type itself"


def test_an_incremental_run_is_refused(folder: Path, cli: InProcessCli) -> None:
    document = yaml.safe_load((folder / "ingest.yaml").read_text())
    document["units"][0]["run_mode"] = "INCREMENTAL"
    (folder / "ingest.yaml").write_text(yaml.safe_dump(document))
    cli.json("apply")
    cli.json("collect", "files")
    assert cli.json("run", "files", code=2)["error"]["code"] == "E_INGESTION_MODE_UNSUPPORTED"


@pytest.mark.parametrize("arguments", [["--from", "1"], ["--reconcile"]])
def test_a_source_that_has_no_backfills_and_no_key_scans_refuses_them_before_a_run(
    cli: InProcessCli, arguments: list[str]
) -> None:
    cli.json("apply")
    cli.json("collect", "files")
    refused, ran = cli.run("run", "files", "orders", *arguments), cli.json("status", "files", "orders")
    if arguments == ["--reconcile"]:  # a replacement has no deleted rows, so nothing has to be compared
        assert refused[0] == 0
        return
    assert (refused[0], "E_INGESTION_MODE_UNSUPPORTED" in refused[2]) == (2, True), refused
    assert ran["units"][0]["history"] == []
