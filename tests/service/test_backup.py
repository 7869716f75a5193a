"""A backup that is taken while runs go on fits its sinks, whichever of the two copies is older: no row is doubled, none is lost."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.config import load_config
from ingest_ray.kv import open_kv
from ingest_ray.sdk.errors import ConfigError, RunActive
from ingest_ray.sdk.types import RunState
from ingest_ray.service.backup.backup import take_backup
from ingest_ray.service.backup.restore import fit_to_sinks, restore_backup
from ingest_ray.service.backup.state_snapshot import read_unit, unit_keys
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import RunReport, run
from ingest_ray.state.lease import Lease, this_process
from tests.core.in_memory_installation import MemoryKV
from tests.service.workspace import Workspace

UNIT = "numbers-2x300"
FAIL_POINTS = ["ingest_ray.state.writer.reached", "ingest_ray.engine.steps.unit_writer.reached"]
STEPS = [
    "state:after-intent",
    "sink:before-commit",
    "sink:after-commit",
    "state:between-segments",
    "state:before-clear",
]


def ready(folder: Path, write: str) -> Workspace:
    folder.mkdir(exist_ok=True)
    workspace = Workspace(folder)
    policy = {"cursor": "at", "write": write, "target_slice_bytes": 64 * 1024}
    workspace.document["units"][0] |= {"unit": UNIT, "run_mode": "INCREMENTAL", "policy": policy}
    workspace.apply()
    collect(workspace.installation, "shop")
    return workspace


def changed(workspace: Workspace, now: int, **changes: int) -> None:
    workspace.source["now"] = now
    workspace.source.setdefault("changed", {}).update({key.removeprefix("k"): at for key, at in changes.items()})
    workspace.apply()


def ran(workspace: Workspace) -> RunReport:
    return run(workspace.installation, "shop", [UNIT])


def versions(workspace: Workspace) -> Counter[tuple[int, int]]:
    table = DeltaTable(workspace.folder / "lake" / "shop" / UNIT).to_pyarrow_table()
    return Counter(zip(table["id"].to_pylist(), table["at"].to_pylist(), strict=True))


def copy_unless_gone(source: str, target: str) -> None:
    """A file that is still being written, or was only prepared, may go between the listing of its folder and its copy."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def restored(there: Workspace, folder: Path, backup: Path, lake: Path) -> Workspace:
    """A new machine: the same configuration file, an empty home, the copy of the lake, and then the backup."""
    folder.mkdir()
    again = Workspace(folder)
    again.document, again.source = there.document, there.source
    again.write()
    shutil.copytree(lake, folder / "lake")
    restore_backup(again.installation, backup)
    apply(load_config(again.write()), displaced="move")  # the catalog has the addresses of the old machine
    return again


@pytest.fixture(params=["upsert", "append"])
def write(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def copies_at_every_step(workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copies state and lake when a run comes to each of the steps, with the lake before the state."""
    taken: list[Path] = []
    left = list(STEPS)

    def copy(step: str) -> None:
        place = folder / step.replace(":", "-")
        if step in left:
            left.remove(step)
            shutil.copytree(workspace.folder / "lake", place / "lake")
            take_backup(workspace.installation, place / "backup")
            taken.append(place)

    with monkeypatch.context() as patch:
        patch.setattr("ingest_ray.service.backup.state_snapshot.SETTLED_WAIT_S", 0.0)  # the run waits for this copy
        for name in FAIL_POINTS:
            patch.setattr(name, copy)
        assert ran(workspace).state is RunState.SUCCEEDED
    return taken


@pytest.mark.slow
def test_a_restored_state_fits_a_restored_lake_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    there = ready(tmp_path / "there", write)
    ran(there)
    changed(there, 2000, k7=1500, k308=1600)
    copies = copies_at_every_step(there, tmp_path / "copies", monkeypatch)
    changed(there, 3000, k9=2500)
    assert ran(there).state is RunState.SUCCEEDED
    expected = versions(there)
    assert len(copies) == len(STEPS)
    refused = 0
    for number, (state, lake) in enumerate(
        [*zip(copies, copies, strict=True), (copies[0], copies[-1]), (copies[-1], copies[0])]
    ):
        again = restored(there, tmp_path / f"again-{number}", state / "backup", lake / "lake")
        fitted = fit_to_sinks(again.installation, state / "backup")
        assert [(unit.error, unit.note) for unit in fitted] == [(None, None)]
        report = ran(again)
        error = report.units[0].error
        if write == "append" and error is not None:
            # The lake has commits that the state does not know, or whose intent was open in the copy: never doubled, never lost.
            assert error.code == "E_STATE_BEHIND_SINK"
            refused += 1
            continue
        assert report.state is RunState.SUCCEEDED, (state, report.units[0].error)
        assert versions(again) == expected, state
        assert ran(again).rows.read == 0
    assert refused <= 3  # after the sink's commit and in its fold, and the first state with the last lake


@pytest.mark.slow
def test_backups_that_are_taken_while_runs_go_on(tmp_path: Path, write: str) -> None:
    there = ready(tmp_path / "there", write)
    ran(there)
    ended = threading.Event()
    faults: list[Any] = []

    def keep_running() -> None:
        for number in range(1, 7):
            changed(there, 1000 + 100 * number, **{f"k{number}": 1050 + 100 * number})
            report = ran(there)
            if report.state is not RunState.SUCCEEDED:
                faults.append(report.units[0].error)
        ended.set()

    runs = threading.Thread(target=keep_running)
    runs.start()
    taken: list[Path] = []
    while not ended.is_set() or not taken:
        place = tmp_path / f"copy-{len(taken)}"
        shutil.copytree(there.folder / "lake", place / "lake", copy_function=copy_unless_gone)
        take_backup(there.installation, place / "backup")
        taken.append(place)
    runs.join()
    assert faults == []
    expected = versions(there)
    for place in (taken[0], taken[len(taken) // 2], taken[-1]):
        again = restored(there, tmp_path / f"again-{place.name}", place / "backup", place / "lake")
        fitted = fit_to_sinks(again.installation, place / "backup")
        assert [(unit.error, unit.note) for unit in fitted] == [(None, None)]
        assert ran(again).state is RunState.SUCCEEDED
        assert versions(again) == expected


def test_a_backup_keeps_secrets_sealed_and_says_whose_key_is_missing(tmp_path: Path) -> None:
    there = ready(tmp_path / "there", "upsert")
    there.source["password"] = "hunter2-xyz"
    there.apply()
    ran(there)
    take_backup(there.installation, tmp_path / "backup")
    assert not any(b"hunter2" in path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file())
    assert not list((tmp_path / "backup").rglob("secret.key"))
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "backup").rglob("*.jsonl")} == {0}
    again = Workspace(tmp_path / "again")
    again.folder.mkdir()
    again.document, again.source = there.document, there.source
    again.write()
    (tmp_path / "again" / ".ingest").mkdir(exist_ok=True)
    assert restore_backup(again.installation, tmp_path / "backup").unopened_endpoints == ("shop",)
    home = Path(there.installation.settings.home)
    shutil.copy(home / "secret.key", Path(again.installation.settings.home) / "secret.key")
    assert restore_backup(again.installation, tmp_path / "backup", replaces=True).unopened_endpoints == ()


def test_a_backup_that_is_damaged_or_was_not_finished_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ready(tmp_path / "there", "upsert")
    ran(there)
    with monkeypatch.context() as patch:
        patch.setattr("ingest_ray.service.backup.backup.reached", killed_at("backup:before-manifest"))
        with pytest.raises(KeyboardInterrupt):
            take_backup(there.installation, tmp_path / "died")
    with pytest.raises(ConfigError, match="not finished"):
        restore_backup(there.installation, tmp_path / "died", replaces=True)
    with pytest.raises(ConfigError, match="not empty"):
        take_backup(there.installation, tmp_path / "died")
    take_backup(there.installation, tmp_path / "backup")
    with (tmp_path / "backup" / "kv.jsonl").open("a") as file:
        file.write(json.dumps({"key": "ingest::x", "value": {}}) + "\n")
    with pytest.raises(ConfigError, match=r"kv\.jsonl"):
        restore_backup(there.installation, tmp_path / "backup", replaces=True)
    assert ran(there).rows.read == 0


def killed_at(wanted: str) -> Callable[[str], None]:
    def reached(step: str) -> None:
        if step == wanted:
            raise KeyboardInterrupt

    return reached


@pytest.mark.slow
@pytest.mark.parametrize("step", ["restore:after-emptied", "restore:after-state"])
def test_a_restoration_that_died_runs_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    there = ready(tmp_path / "there", "append")
    ran(there)
    take_backup(there.installation, tmp_path / "backup")
    changed(there, 2000, k7=1500)
    ran(there)
    with pytest.raises(ConfigError, match="not empty"):
        restore_backup(there.installation, tmp_path / "backup")
    with monkeypatch.context() as patch:
        patch.setattr("ingest_ray.service.backup.restore.reached", killed_at(step))
        with pytest.raises(KeyboardInterrupt):
            restore_backup(there.installation, tmp_path / "backup", replaces=True)
    with pytest.raises(ConfigError):
        ran(there)
    restore_backup(there.installation, tmp_path / "backup", replaces=True)
    report = ran(there)
    assert report.units[0].error is not None
    assert report.units[0].error.code == "E_STATE_BEHIND_SINK"


def test_nothing_is_restored_while_a_run_lives(tmp_path: Path) -> None:
    there = ready(tmp_path / "there", "upsert")
    ran(there)
    take_backup(there.installation, tmp_path / "backup")
    (key,) = unit_keys(there.installation.kv)
    lease = Lease.acquire(there.installation.kv, key, "a run", this_process())
    with pytest.raises(RunActive):
        restore_backup(there.installation, tmp_path / "backup", replaces=True)
    lease.release()
    assert restore_backup(there.installation, tmp_path / "backup", replaces=True).units == 1
    assert ran(there).rows.read == 0


class WrittenMeanwhile(MemoryKV):
    """A commit happens in the middle of the first readings."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, Any], int]]:
        for number, entry in enumerate(list(super().scan(prefix))):
            yield entry
            if number == 0 and self.left:
                self.left -= 1
                for key, (value, version) in list(self.documents.items()):
                    self.put(key, {**value, "n": value["n"] + 1}, version)


def test_documents_of_a_store_without_snapshots_are_of_one_moment() -> None:
    kv = WrittenMeanwhile()
    for key in ("u", "u::segment::a", "u::segment::b"):
        kv.put(key, {"n": 0}, 0)
    found = read_unit(kv, "u")
    assert len({value["n"] for value in found.values()}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", "postgres", "redis"])
def test_documents_of_a_unit_are_of_one_moment(tmp_path: Path, store: str, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/state.db" if store == "sqlite" else request.getfixturevalue(f"{store}_url")
    kv, writer = open_kv(url), open_kv(url)
    keys = ["u", *(f"u::segment::{number}" for number in range(6))]
    for key in [*keys, "u2"]:
        kv.put(key, {"n": 0}, 0)
    stop = threading.Event()

    def write() -> None:
        """All documents in order, again and again: at one moment their numbers differ by one at most, and never grow along the order."""
        number = 0
        while not stop.is_set():
            number += 1
            for key in keys:
                found = writer.get(key)
                assert found is not None
                writer.put(key, {"n": number}, found[1])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(10):
            found = read_unit(kv, "u")
            numbers = [int(str(found[key]["n"])) for key in keys]
            assert list(found) == sorted(keys)
            assert numbers == sorted(numbers, reverse=True)
            assert max(numbers) - min(numbers) <= 1
    finally:
        stop.set()
        thread.join()


def test_a_unit_whose_documents_cannot_be_read_is_copied_as_it_is(tmp_path: Path) -> None:
    there = ready(tmp_path / "there", "upsert")
    ran(there)
    kv = there.installation.kv
    (key,) = unit_keys(kv)
    found = kv.get(f"{key}::intent")
    assert found is not None
    kv.put(f"{key}::intent", {"schema_number": 99}, found[1])
    assert take_backup(there.installation, tmp_path / "backup").units[0].sequence > 0
    restore_backup(there.installation, tmp_path / "backup", replaces=True)
    restored = kv.get(f"{key}::intent")
    assert restored is not None
    assert restored[0] == {"schema_number": 99}
