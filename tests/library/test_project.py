"""Ingestion from Python: the surface of `Project`, typed results, and rows as Arrow tables."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

import ingest_ray
from ingest_ray.sdk.errors import ConfigError, UnitNotFound
from ingest_ray.sdk.types import RunState

SURFACE = [
    "apply",
    "batches",
    "close",
    "collect",
    "copy",
    "dataset",
    "endpoints",
    "home",
    "plan",
    "preview",
    "read",
    "run",
    "run_async",
    "status",
    "to_ray",
    "units",
    "verify",
]


def document(sink: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "endpoints": [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": "shop.db"}}],
        "sinks": [sink or {"id": "lake", "template": "lake.delta", "config": {"uri": "lake"}}],
        "units": [
            {
                "endpoint": "shop",
                "unit": "orders",
                "sink": "lake",
                "enabled": True,
                "run_mode": "INCREMENTAL",
                "policy": {"cursor": "updated_at", "mask": {"email": "redact"}},
            }
        ],
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(
            "create table orders(id integer primary key, total real, email text, updated_at timestamp);"
            "insert into orders values (1, 1.5, 'a@b.c', '2026-01-01 10:00:00'), (2, 2.5, 'd@e.f', '2026-01-02 10:00:00')"
        )
    return tmp_path


@pytest.fixture
def project(folder: Path) -> Iterator[ingest_ray.Project]:
    with ingest_ray.build(document(), folder=folder) as made:
        made.apply()
        made.collect("shop")
        yield made


def test_the_surface_is_what_is_documented() -> None:
    assert [name for name in dir(ingest_ray.Project) if not name.startswith("_")] == SURFACE
    page = (Path(__file__).parents[2] / "docs" / "library.md").read_text()
    assert [name for name in SURFACE if f"`{name}" not in page and f".{name}" not in page] == []


def test_rows_land_and_are_read_back_as_arrow(project: ingest_ray.Project) -> None:
    planned = project.plan("shop", "orders")
    assert planned.unit_id == "orders"
    report = project.run("shop")
    assert (report.state, report.rows.committed) == (RunState.SUCCEEDED, 2)
    assert project.read("shop", "orders", ["id", "total"]).sort_by("id").to_pylist() == [
        {"id": 1, "total": 1.5},
        {"id": 2, "total": 2.5},
    ]
    assert isinstance(project.read("shop", "orders"), pa.Table)
    assert sum(batch.num_rows for batch in project.batches("shop", "orders")) == 2
    assert project.status("shop").units[0].state is RunState.SUCCEEDED
    assert project.verify("shop", rows=True).state is RunState.SUCCEEDED
    assert [each.endpoint_id for each in project.endpoints()] == ["shop"]
    with pytest.raises(ConfigError, match="'nr' cannot be read back"):
        project.read("shop", "orders", ["nr"])


@pytest.mark.parametrize(
    "sink",
    [
        {"id": "lake", "template": "duckdb", "config": {"path": "x.duckdb"}},
        {"id": "lake", "template": "sql", "config": {"url": "sqlite:///x.db"}},
    ],
)
def test_rows_are_read_back_from_other_sinks(folder: Path, sink: dict[str, Any]) -> None:
    with ingest_ray.build(document(sink), folder=folder) as project:
        project.apply()
        project.collect("shop")
        assert project.run("shop").state is RunState.SUCCEEDED
        assert sorted(project.read("shop", "orders")["id"].to_pylist()) == [1, 2]


def test_a_preview_is_a_table_with_masks(project: ingest_ray.Project) -> None:
    table = project.preview("shop", "orders", rows=1)
    assert table.num_rows == 1
    assert "a@b.c" not in str(table.to_pylist())


def test_progress_is_called_and_a_run_can_be_stopped(project: ingest_ray.Project) -> None:
    seen: list[object] = []
    stopped = project.run("shop", on_progress=seen.append, is_stopping=lambda: True)
    assert stopped.state is RunState.PAUSED
    assert project.run("shop", on_progress=seen.append).state is RunState.SUCCEEDED
    assert seen


def test_runs_under_asyncio_do_not_block_the_loop(project: ingest_ray.Project) -> None:
    async def main() -> tuple[RunState, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        report = await project.run_async("shop")
        ticking.cancel()
        return report.state, ticks

    state, ticks = asyncio.run(main())
    assert state is RunState.SUCCEEDED
    assert ticks > 1


def test_a_file_and_its_home_are_opened(folder: Path, project: ingest_ray.Project) -> None:
    project.run("shop")
    assert ingest_ray.open(home=project.home).read("shop", "orders").num_rows == 2
    (folder / "ingest.yaml").write_text("endpoints: []\n")
    opened = ingest_ray.open(folder / "ingest.yaml")
    assert opened.home == project.home
    with pytest.raises(ConfigError, match="give one of both"):
        ingest_ray.open(folder / "ingest.yaml", home=project.home)
    with pytest.raises(ConfigError, match="no file to apply"):
        ingest_ray.open(home=project.home).apply()


def test_mistakes_are_typed_and_name_the_field(folder: Path, project: ingest_ray.Project) -> None:
    with pytest.raises(ConfigError, match=r"endpoints\[0\]\.template"):
        ingest_ray.build({"endpoints": [{"id": "x", "template": "nothing"}]}, folder=folder)
    with pytest.raises(ConfigError, match="cannot have"):
        ingest_ray.build({"endpoints": [threading.Lock()]}, folder=folder)
    with pytest.raises(UnitNotFound):
        project.plan("shop", "nothing")


def test_copy_needs_no_file(folder: Path) -> None:
    with ingest_ray.open(home=folder / "home") as project:
        report = project.copy(f"sqlite:///{folder}/shop.db", str(folder / "lake2"))
        assert report.rows.committed == 2
        assert project.read("shop", "orders").num_rows == 2


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, ingest_ray; print([name for name in ('pyarrow', 'pydantic', 'ray') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_what_has_landed_is_a_dataset_until_the_project_is_closed(project: ingest_ray.Project) -> None:
    project.run("shop")
    landed = project.dataset("shop", "orders", ["id", "total"])
    assert landed.to_table(filter=pads.field("total") > 2).to_pylist() == [{"id": 2, "total": 2.5}]
    assert project.dataset("shop", "orders").schema.names == project.read("shop", "orders").schema.names
    (file,) = landed.files
    project.close()
    assert not Path(file).exists()
    assert project.dataset("shop", "orders").count_rows() == 2  # opened again


@pytest.mark.slow
def test_results_are_shown_in_a_notebook_and_names_are_no_markup(project: ingest_ray.Project) -> None:
    results = [project.plan("shop", "orders"), project.run("shop"), project.status(), project.verify("shop")]
    results += [project.units("shop"), project.collect("shop"), project.apply()]
    shown = [result._repr_html_() for result in results]  # type: ignore[attr-defined]
    assert [text for text in shown if not text.startswith("<pre")] == []
    assert "SUCCEEDED" in shown[1]
    report = project.run("shop")
    odd = report.units[0].model_copy(update={"unit_id": "<script>alert(1)</script>"})
    assert "<script>" not in report.model_copy(update={"units": (odd,)})._repr_html_()  # type: ignore[attr-defined]


@pytest.mark.faults
def test_what_has_landed_is_a_ray_dataset(folder: Path) -> None:
    """In a process of its own, which starts a Ray of its own."""
    pytest.importorskip("pandas", reason="ray.data needs pandas: the extra ray-data")
    code = f"""
import json, ingest_ray
from ingest_ray.sdk.errors import ConfigError
project = ingest_ray.build(json.loads({json.dumps(json.dumps(document()))}), folder={str(folder)!r})
project.apply(); project.collect("shop"); project.run("shop")
try:
    project.to_ray("shop", "orders")
except ConfigError as error:
    print(error.message)
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
found = project.to_ray("shop", "orders", ["id", "total"])
print(sorted(row["id"] for row in found.take_all()), found.schema().names)
project.close()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["Ray is not initialized in this process", "[1, 2] ['id', 'total']"]
