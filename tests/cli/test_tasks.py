"""Backfill, quarantine, drift and deletes as a user meets them."""

import shutil
from pathlib import Path

import pytest
import yaml
from deltalake import DeltaTable

from ingest_ray.state.lease import Lease, this_process
from tests.cli.in_process import InProcessCli
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

UNIT = "numbers-1x1000"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    workspace = Workspace(tmp_path)
    workspace.source |= {"changed": {"7": 10, "8": 20, "9": 30}, "units": [UNIT]}
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    return workspace


@pytest.fixture
def cli(workspace: Workspace, capfd: pytest.CaptureFixture[str]) -> InProcessCli:
    there = InProcessCli(workspace.folder, capfd)
    workspace.write()
    there.json("apply")
    there.json("collect", "shop")
    return there


def changed(workspace: Workspace, cli: InProcessCli, **source: object) -> None:
    workspace.source |= source
    workspace.write()
    cli.json("apply")


def test_c28_a_backfill_says_what_it_is_and_is_not_the_last_run(workspace: Workspace, cli: InProcessCli) -> None:
    loaded = cli.json("run", "shop")
    changed(workspace, cli, changed={"7": 11, "8": 20, "9": 30})
    done = cli.json("run", "shop", UNIT, "--from", "10", "--to", "21")
    assert (done["state"], done["task"], done["rows"]["read"]) == ("SUCCEEDED", "backfill", 2)
    assert done["watermarks"] == loaded["watermarks"]
    assert done["units"][0]["facts"] == {"from": "10", "to": "21"}
    (unit,) = cli.json("status", "shop", UNIT)["units"]
    assert unit["last_run"]["run_id"] == loaded["run_id"]
    assert [run["task"] for run in unit["history"]] == ["backfill", "ingest"]
    code, out, _ = cli.run("run", "shop", UNIT, "--to", "21")
    assert (code, "SUCCEEDED (backfill)" in out) == (0, True)
    assert cli.json("run", "shop")["rows"]["read"] == 0


def test_a_backfill_into_an_append_is_refused_and_has_no_record(workspace: Workspace, cli: InProcessCli) -> None:
    workspace.document["units"][0]["policy"]["write"] = "append"
    changed(workspace, cli)
    refused = cli.json("run", "shop", UNIT, "--from", "10", code=2)["error"]
    assert (refused["code"], "write: append" in refused["message"]) == ("E_BAD_INPUT", True)
    assert cli.json("status", "shop", UNIT)["units"][0]["history"] == []


def test_c70_rows_in_quarantine_are_listed_shown_replayed_and_discarded(
    workspace: Workspace, cli: InProcessCli
) -> None:
    changed(workspace, cli, bad=[3, 700])
    assert cli.json("quarantine", "list")["rows"] == 0
    assert cli.json("run", "shop")["rows"]["quarantined"] == 2
    listed = cli.json("quarantine", "list", "shop", UNIT)
    assert (listed["rows"], [entry["rows"] for entry in listed["entries"]]) == (2, [1, 1])
    assert "'soon' is no number" in cli.run("quarantine", "list")[1]
    shown = cli.json("quarantine", "show", "shop", UNIT, "-n", "1")
    assert (shown["total"], shown["rows"][0]["raw"]["id"], shown["rows"][0]["column"]) == (2, 3, "at")
    assert "column 'at': 'soon' is no number" in cli.run("quarantine", "show", "shop")[1]
    still = cli.json("quarantine", "replay", "shop")
    assert (still["task"], still["rows"]["read"], still["rows"]["quarantined"]) == ("replay", 2, 2)
    for entry in cli.json("quarantine", "list")["entries"]:
        file = Path(entry["uri"])
        if '"id": 3' in file.read_text():
            file.write_text(file.read_text().replace('"soon"', '"77"'))  # a person mends the value
    mended = cli.json("quarantine", "replay", "shop", UNIT)
    assert (mended["rows"]["committed"], mended["rows"]["quarantined"]) == (1, 1)
    assert workspace.rows(UNIT) == 999
    assert cli.json("quarantine", "discard", "shop", UNIT, "--yes")["rows"] == 1
    assert cli.json("quarantine", "replay", "shop")["units"] == []
    assert "nothing is in quarantine" in cli.run("quarantine", "list")[1]


def test_rows_in_quarantine_are_not_discarded_while_a_run_lives(workspace: Workspace, cli: InProcessCli) -> None:
    changed(workspace, cli, bad=[3])
    cli.json("run", "shop")
    kv = workspace.installation.kv
    (key,) = [key.removesuffix("::lease") for key, _, _ in kv.scan("ingest::") if key.endswith("::lease")]
    lease = Lease.acquire(kv, key, "another run", this_process())
    assert cli.json("quarantine", "discard", "shop", "--yes", code=2)["error"]["code"] == "E_RUN_ACTIVE"
    lease.release()
    assert cli.json("quarantine", "discard", "shop", "--yes")["rows"] == 1
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"


def test_a_reset_of_a_unit_that_appends_warns_and_its_next_run_is_refused(
    workspace: Workspace, cli: InProcessCli
) -> None:
    workspace.document["units"][0]["policy"]["write"] = "append"
    changed(workspace, cli)
    cli.json("run", "shop")
    code, _, err = cli.run("reset", "shop", UNIT, "--yes")
    assert (code, "until its table in sink 'lake' is empty" in err) == (0, True)
    assert cli.json("run", "shop", code=1)["error"]["code"] == "E_STATE_BEHIND_SINK"
    assert workspace.rows(UNIT) == 1000


def test_a_watermark_before_the_copy_is_a_way_out_for_a_restored_table(workspace: Workspace, cli: InProcessCli) -> None:
    cli.json("run", "shop")
    shutil.copytree(workspace.folder / "lake", workspace.folder / "copy")
    changed(workspace, cli, changed={"7": 1500}, now=2000)
    assert cli.json("run", "shop")["rows"]["committed"] == 1
    shutil.rmtree(workspace.folder / "lake")
    (workspace.folder / "copy").rename(workspace.folder / "lake")
    assert cli.json("run", "shop", code=1)["error"]["code"] == "E_SINK_BEHIND_STATE"
    cli.json("watermark", "set", "shop", UNIT, "1000", "--yes")
    assert cli.json("run", "shop")["rows"]["committed"] == 1
    assert cli.json("run", "shop")["rows"]["read"] == 0


def test_a_watermark_is_a_way_out_for_a_table_that_delta_restored(workspace: Workspace, cli: InProcessCli) -> None:
    cli.json("run", "shop")
    uri = str(workspace.folder / "lake" / "shop" / UNIT)
    version = DeltaTable(uri).version()
    changed(workspace, cli, changed={"7": 1500}, now=2000)
    cli.json("run", "shop")
    DeltaTable(uri).restore(version)
    assert cli.json("run", "shop", code=1)["error"]["code"] == "E_SINK_BEHIND_STATE"
    cli.json("watermark", "set", "shop", UNIT, "1000", "--yes")
    assert cli.json("run", "shop")["rows"]["committed"] == 1
    assert cli.json("run", "shop")["rows"]["read"] == 0


def test_going_back_to_the_sink_is_a_way_out_for_a_restored_table(workspace: Workspace, cli: InProcessCli) -> None:
    cli.json("run", "shop")
    shutil.copytree(workspace.folder / "lake", workspace.folder / "copy")
    changed(workspace, cli, changed={"7": 1500}, now=2000)
    cli.json("run", "shop")
    cli.json("run", "shop", UNIT, "--from", "1500", "--to", "1600")
    shutil.rmtree(workspace.folder / "lake")
    (workspace.folder / "copy").rename(workspace.folder / "lake")
    assert "--to-sink" in cli.json("run", "shop", code=1)["error"]["hint"]
    code, out, err = cli.run("reset", "shop", UNIT, "--to-sink", "--yes")
    assert (code, "its next run reads what follows" in out, "a backfill, which no run repeats" in err) == (
        0,
        True,
        True,
    )
    assert cli.json("run", "shop")["rows"]["committed"] == 1
    assert cli.json("reset", "shop", UNIT, "--to-sink", "--yes")["is_changed"] is False


def test_c68_a_change_that_was_followed_is_said_once_and_is_in_the_history(
    workspace: Workspace, cli: InProcessCli
) -> None:
    cli.json("run", "shop")
    changed(workspace, cli, column_types={"note": "int64"})
    assert cli.json("plan", "shop", UNIT)["facts"]["schema changes"] == "+ note int64"
    assert cli.json("datasets", "show", "shop", UNIT)["versions"][1:] == []
    code, out, _ = cli.run("run", "shop")
    assert (code, "the dataset changed: + note int64" in out) == (0, True)
    assert cli.json("run", "shop")["schema_changes"] == []
    history = cli.json("datasets", "show", "shop", UNIT)["versions"]
    assert [version["changes"] for version in history] == [[], ["+ note int64"]]
    changed(workspace, cli, column_types={"note": "string"})
    failed = cli.json("run", "shop", code=1)
    assert failed["error"]["code"] == "E_SOURCE_CHANGED"
    cli.json("collect", "shop")
    assert cli.json("datasets", "accept", "shop", UNIT)["changes"] == ["~ note: int64 -> string"]
    sink = cli.json("run", "shop", "--log-level", "error", code=0)
    assert sink["state"] == "SUCCEEDED"  # nothing new to read: the sink was not opened


def test_g_deletes_are_found_guarded_and_recorded(workspace: Workspace, cli: InProcessCli) -> None:
    cli.json("run", "shop")
    changed(workspace, cli, deleted=[1, 2, 3])
    done = cli.json("run", "shop", UNIT, "--reconcile")
    assert {name: done["reconcile"][name] for name in ("missing_at_source", "erased", "how", "state")} == {
        "missing_at_source": 3,
        "erased": 3,
        "how": "tombstone",
        "state": "SUCCEEDED",
    }
    history = cli.json("status", "shop", UNIT)["units"][0]["history"]
    assert [run["task"] for run in history] == ["reconcile", "ingest", "ingest"]
    assert history[0]["facts"]["erased"] == 3
    changed(workspace, cli, deleted=list(range(200)))
    guarded = cli.json("run", "shop", "--reconcile", code=1)
    assert (guarded["state"], guarded["error"]["code"]) == ("FAILED", "E_DELETES_REFUSED")
    assert guarded["units"][0]["state"] == "SUCCEEDED"
    code, out, _ = cli.run("run", "shop", "--reconcile", "--allow-deletes")
    assert (code, "197 not at the source any more, 197 marked as deleted" in out) == (0, True)


def test_c61_an_incomplete_census_deletes_nothing(workspace: Workspace, cli: InProcessCli) -> None:
    cli.json("run", "shop")
    changed(workspace, cli, deleted=[1], faults={"scan_keys": ["unavailable"]})
    failed = cli.json("run", "shop", "--reconcile", code=1)
    assert (failed["error"]["code"], failed["reconcile"]["erased"]) == ("E_SOURCE_PAGE_FAILED", 0)
    assert cli.json("run", "shop", "--reconcile")["reconcile"]["erased"] == 1


def test_an_append_cannot_be_reconciled_and_says_so_before_anything_runs(
    workspace: Workspace, cli: InProcessCli
) -> None:
    workspace.document["units"][0]["policy"]["write"] = "append"
    changed(workspace, cli)
    assert cli.json("run", "shop", "--reconcile", code=2)["error"]["code"] == "E_BAD_INPUT"
    assert cli.json("status")["units"][0]["state"] == "IDLE"


def test_applying_the_same_file_says_that_nothing_changed(workspace: Workspace, cli: InProcessCli) -> None:
    assert cli.run("apply") == (0, "nothing changed\n", "")
    assert yaml.safe_load(workspace.file.read_text()) == workspace.document
