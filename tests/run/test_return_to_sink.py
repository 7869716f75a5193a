"""A sink that was restored from an earlier copy: the state goes back to its last commit, and the next run reads what is missing."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.recovery import ReturnedState, return_to_sink
from ingest_ray.engine.steps.unit_layout import target_of, unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.errors import HistoryTooShort, StateBehindSink
from ingest_ray.sdk.types import Endpoint, RunState
from ingest_ray.sinks.databases.database import LEDGER
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.state import commit_history
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter
from ingest_ray.testing.servers.postgres import Postgres
from tests.run.installation import Installation
from tests.run.test_cdm import COMMENT, ITEM, MAPPING, CdmInstallation
from tests.run.test_restored import copy_of, restore

pytestmark = pytest.mark.slow

UNIT = "numbers-1x500"


def went_back(there: Installation, order: RunOrder | None = None) -> ReturnedState:
    order = order or there.order()
    state = StateWriter.begin(open_state(order.settings), unit_key_of(order), "person", this_process())
    try:
        unit_writer = writer_for(order, staging_for(order))
        progress = unit_writer.read_progress()
        assert progress is not None
        return return_to_sink(state, unit_writer, progress)
    finally:
        state.end()


def change(there: Installation, now: int, **changed: int) -> None:
    """Rows of the source get a new version."""
    before: dict[str, int] = there.source.get("changed", {})
    there.source = {"now": now, "changed": {**before, **{key.removeprefix("k"): at for key, at in changed.items()}}}


def loaded(folder: Path, write: str) -> Installation:
    there = Installation(folder, unit=UNIT, policy={"cursor": "at", "write": write})
    assert there.run().state is RunState.SUCCEEDED
    return there


def is_refused(there: Installation, code: str = "E_SINK_BEHIND_STATE") -> bool:
    summary = there.run()
    return summary.error is not None and summary.error.code == code


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_the_next_run_reads_exactly_what_a_restored_lake_lost(tmp_path: Path, write: str) -> None:
    there = loaded(tmp_path, write)
    change(there, 1200, k5=1100)
    there.run()
    copy_of(there, "lake")
    for now, changed in [(2000, {"k7": 1500, "k8": 1600}), (3000, {"k9": 2500})]:
        change(there, now, **changed)
        there.run()
    after = Counter(there.lake()["at"].to_pylist())
    restore(there, "lake")
    assert is_refused(there)
    found = went_back(there)
    assert (found.before - found.sequence, len(found.forgotten)) == (2, 2)
    summary = there.run()
    assert (summary.state, summary.rows.read) == (RunState.SUCCEEDED, 3)
    assert Counter(there.lake()["at"].to_pylist()) == after
    assert there.run().rows.read == 0
    assert not went_back(there).is_changed


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_copy_made_in_the_middle_of_a_load_is_completed(tmp_path: Path, write: str) -> None:
    there = Installation(
        tmp_path, unit="numbers-2x1500", policy={"cursor": "at", "target_slice_bytes": 64 * 1024, "write": write}
    )
    there.run_until(lambda progress: progress.rows.committed > 0)
    assert 0 < len(there.ids()) < 3000
    copy_of(there, "lake")
    assert there.run().state is RunState.SUCCEEDED
    restore(there, "lake")
    assert is_refused(there)
    went_back(there)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert 0 < summary.rows.read < 3000


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_table_that_was_restored_by_delta_itself_is_noticed_although_its_number_stays(
    tmp_path: Path, write: str
) -> None:
    there = loaded(tmp_path, write)
    table = DeltaTable(str(there.folder / "lake" / "e" / UNIT))
    version = table.version()
    change(there, 2000, k7=1500)
    there.run()
    after = Counter(there.lake()["at"].to_pylist())
    DeltaTable(str(there.folder / "lake" / "e" / UNIT)).restore(version)
    assert is_refused(there)
    went_back(there)
    assert there.run().rows.read == 1
    assert Counter(there.lake()["at"].to_pylist()) == after
    change(there, 3000, k8=2500)
    assert there.run().rows.read == 1
    assert there.run().state is RunState.SUCCEEDED


def test_a_table_that_was_restored_twice_has_the_rows_of_the_last_restored_version(tmp_path: Path) -> None:
    there = loaded(tmp_path, "append")
    uri = str(there.folder / "lake" / "e" / UNIT)
    first = DeltaTable(uri).version()
    for number in (1, 2):
        change(there, 2000 + 1000 * number, **{f"k{number}": 1500 + 1000 * number})
        there.run()
    after = Counter(there.lake()["at"].to_pylist())
    DeltaTable(uri).restore(first)
    DeltaTable(uri).restore(first + 1)
    DeltaTable(uri).restore(DeltaTable(uri).version() - 1)
    assert is_refused(there)
    went_back(there)
    assert there.run().rows.read == 2
    assert Counter(there.lake()["at"].to_pylist()) == after


def test_what_a_checkpoint_does_not_keep_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_history, "KEPT_COMMITS", 1)
    there = loaded(tmp_path, "upsert")
    copy_of(there, "lake")
    for number in (1, 2):
        change(there, 2000 + 1000 * number, **{f"k{number}": 1500 + 1000 * number})
        there.run()
    restore(there, "lake")
    for _ in range(2):
        with pytest.raises(HistoryTooShort) as caught:
            went_back(there)
        assert "--repair" in str(caught.value.hint)
        assert is_refused(there)


def test_a_checkpoint_of_an_older_version_goes_on_and_says_that_it_cannot_go_back(tmp_path: Path) -> None:
    there = loaded(tmp_path, "upsert")
    kv = open_state(there.settings)
    for key, value, version in list(kv.scan("ingest::")):
        for field in ("past", "commits", "known_from", "claimed", "returning"):
            value.pop(field, None)
        kv.put(key, value, version)
    copy_of(there, "lake")
    change(there, 2000, k7=1500)
    assert there.run().rows.committed == 1
    restore(there, "lake")
    went_back(there)
    assert there.run().rows.read == 1
    shutil.rmtree(there.folder / "lake" / "e" / UNIT)
    with pytest.raises(HistoryTooShort):
        went_back(there)


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_copy_of_commits_that_were_made_again_is_noticed_although_its_number_fits(tmp_path: Path, write: str) -> None:
    """The lake goes back, the state, too; the same number is made again; then the newer copy comes back."""
    there = loaded(tmp_path, write)
    copy_of(there, "lake")
    change(there, 2000, k7=1500)
    there.run()
    shutil.copytree(tmp_path / "lake", tmp_path / "newer")
    restore(there, "lake")
    went_back(there)
    change(there, 3000, k8=2500)
    there.run()
    shutil.rmtree(tmp_path / "lake")
    (tmp_path / "newer").rename(tmp_path / "lake")
    assert is_refused(there)
    if write == "append":
        with pytest.raises(StateBehindSink):
            went_back(there)
        return
    went_back(there)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert {1500, 2500} <= set(there.lake()["at"].to_pylist())


@pytest.mark.parametrize("step", ["state:after-return-began", "state:between-returned-segments"])
def test_going_back_that_died_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    there = loaded(tmp_path, "append")
    copy_of(there, "lake")
    change(there, 2000, k7=1500)
    there.run()
    after = Counter(there.lake()["at"].to_pylist())
    restore(there, "lake")

    def killed(reached: str) -> None:
        if reached == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ingest_ray.state.returnable_state.reached", killed)
        with pytest.raises(KeyboardInterrupt):
            went_back(there)
    summary = there.run()
    assert (summary.state, summary.rows.read) == (RunState.SUCCEEDED, 1)
    assert Counter(there.lake()["at"].to_pylist()) == after


def to_sql(there: Installation, sink: Endpoint) -> RunOrder:
    return there.order().model_copy(update={"sink": sink})


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_database_file_that_was_copied_back(tmp_path: Path, kind: str) -> None:
    there = Installation(tmp_path, unit=UNIT, policy={"cursor": "at", "write": "append"})
    path, copy = tmp_path / "sink.db", tmp_path / "sink.copy"
    config: dict[str, Any] = {"path": str(path)} if kind == "duckdb" else {"url": f"sqlite:///{path}"}
    sink = Endpoint(endpoint_id="lake", template="duckdb" if kind == "duckdb" else "sql", config=config)
    check_restored(there, sink, lambda: shutil.copy(path, copy), lambda: shutil.copy(copy, path))


def test_a_postgres_that_was_restored(tmp_path: Path, pg: Postgres) -> None:
    there = Installation(tmp_path, unit=UNIT, policy={"cursor": "at", "write": "append"})
    sink = Endpoint(endpoint_id="lake", template="sql", config={"url": pg.url})

    def run(*statements: str) -> None:
        connection = pg.connect()
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)
        connection.close()

    tables = [unit_table_name(target_of(to_sql(there, sink))), LEDGER]
    check_restored(
        there,
        sink,
        lambda: run(*(f'create table "copy of {name}" as table "{name}"' for name in tables)),
        lambda: run(
            *(f'truncate "{name}"' for name in tables),
            *(f'insert into "{name}" select * from "copy of {name}"' for name in tables),
        ),
    )


def check_restored(
    there: Installation, sink: Endpoint, make_copy: Callable[[], object], bring_back: Callable[[], object]
) -> None:
    assert there.run(to_sql(there, sink)).state is RunState.SUCCEEDED
    make_copy()
    change(there, 2000, k7=1500)
    assert there.run(to_sql(there, sink)).rows.committed == 1
    bring_back()
    refused = there.run(to_sql(there, sink))
    assert refused.error is not None
    assert refused.error.code == "E_SINK_BEHIND_STATE"
    assert "--to-sink" in str(refused.error.hint)
    went_back(there, to_sql(there, sink))
    assert there.run(to_sql(there, sink)).rows.committed == 1
    assert there.run(to_sql(there, sink)).rows.read == 0


def test_one_of_several_model_tables_that_was_restored_is_noticed_and_gets_its_rows_again(tmp_path: Path) -> None:
    there = CdmInstallation(tmp_path, unit=UNIT, template="lake.delta")
    assert there.run().state is RunState.SUCCEEDED
    table = tmp_path / "lake" / "cdm" / COMMENT.replace(".", "_")
    shutil.copytree(table, tmp_path / "copy")
    change(there, 2000, k7=1500)
    there.run()
    expected = sorted(str(row["body"]) for row in there.rows(COMMENT))
    shutil.rmtree(table)
    (tmp_path / "copy").rename(table)
    assert is_refused(there)
    went_back(there)
    assert there.run().rows.read == 1
    assert sorted(str(row["body"]) for row in there.rows(COMMENT)) == expected
    change(there, 3000, k8=2500)
    assert there.run().rows.read == 1
    assert there.run().rows.read == 0


def test_a_model_that_a_unit_gets_later_is_no_restored_table(tmp_path: Path) -> None:
    there = CdmInstallation(tmp_path, unit=UNIT, template="lake.delta", models={ITEM: MAPPING[ITEM]})
    assert there.run().state is RunState.SUCCEEDED
    there.models = dict(MAPPING)
    change(there, 2000, k7=1500)
    assert there.run().state is RunState.SUCCEEDED
    assert there.run().rows.read == 0
