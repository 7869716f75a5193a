"""What machines share lies in an object store: quarantine, documents, staged pages. No machine needs another one's folder."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.config import load_config, load_settings
from ingest_ray.quarantine.rejected_rows import list_quarantine, promote_rejected_rows, read_rejected_rows
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.errors import ConfigError, ConnectionTestFailed, StagingDenied, StagingUnavailable
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, RunState, RunSummary
from ingest_ray.secrets.locations import quarantine_location
from ingest_ray.secrets.mask_key import read_mask_key
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs import execution
from ingest_ray.service.runs.quarantine import discard_rejected, show_rejected
from ingest_ray.settings import Settings, SharedSettings
from ingest_ray.staging.reach import check_places
from ingest_ray.temporal.results import write_document
from ingest_ray.testing.servers.postgres import Postgres, missing
from tests.cluster.nodes import Nodes
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import Fault, every
from tests.run.installation import Installation
from tests.service.workspace import Workspace

ROOT = Path(__file__).parents[2]


def shared(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, **options: str) -> dict[str, Any]:
    monkeypatch.setenv("SHARED_SECRET", "secret")
    given = {
        **bucket.options,
        "aws_secret_access_key": "env:SHARED_SECRET",
        "aws_access_key_id": "env:SHARED_KEY",
        **options,
    }
    monkeypatch.setenv("SHARED_KEY", "key")
    return {"uri": f"{bucket.uri}/ingest", "storage_options": given}


@pytest.fixture
def workspace(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    made = Workspace(tmp_path)
    made.document["shared"] = shared(bucket, monkeypatch)
    made.source["bad"] = [7, 400]
    return made


def test_a_run_leaves_nothing_in_its_home_that_another_machine_needs(workspace: Workspace, bucket: Bucket) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    report = execution.run(workspace.installation, "shop", ["numbers-1x1000"])
    assert report.rows.quarantined == 2
    assert workspace.rows("numbers-1x1000") == 998
    home = workspace.folder / ".ingest-ray"
    assert not [name for name in ("quarantine", "staging", "documents") if (home / name).exists()]
    assert {tuple(key.split("/")[:2]) for key in bucket.listed()} == {("ingest", "quarantine")}
    shown = show_rejected(workspace.installation, "shop", "numbers-1x1000")
    assert (shown.total, sorted(row.raw["id"] for row in shown.rows)) == (2, [7, 400])  # type: ignore[type-var]
    document = write_document(workspace.installation.settings, "manifest.json", "{}")
    assert bucket.read(bucket.key_of(document)) == b"{}"
    assert discard_rejected(workspace.installation, "shop").rows == 2
    assert bucket.listed() == ["ingest/documents/manifest.json"]


@pytest.mark.parametrize("fault", ["busy", "lost"])
def test_a_promotion_that_is_repeated_or_broken_leaves_one_file(bucket: Bucket, fault: Fault) -> None:
    root = Location(f"{bucket.uri}/q?region=us-east-1", bucket.options)
    bucket.proxy.rule = every(2, fault)
    writer = QuarantineWriter(root, "shop", "a b/é%20?", "lake", "run/1", "all~s~0", 1)
    writer.reject({"id": 7}, "no number")
    pending = writer.close()
    assert pending is not None
    official = {promote_rejected_rows(root.at(pending)) for _ in range(2)}
    assert len(official) == 1
    (entry,) = list_quarantine(root, "shop", "a b/é%20?")
    assert {entry.uri} == official
    assert [row.raw for row in read_rejected_rows(root.at(entry.uri))] == [{"id": 7}]
    bucket.proxy.rule = lambda _: None
    assert len(bucket.listed()) == 1


@pytest.mark.parametrize(
    ("fault", "meaning"), [("denied", "credentials are wrong"), ("no-bucket", "bucket does not exist")]
)
def test_plan_and_apply_name_what_keeps_a_run_from_the_shared_place(
    workspace: Workspace, bucket: Bucket, fault: Fault, meaning: str
) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    bucket.proxy.rule = lambda _: fault
    with pytest.raises(StagingDenied, match=f"staging.*{meaning}"):
        execution.plan(workspace.installation, UnitRef("shop", "numbers-1x1000"))
    with pytest.raises(ConnectionTestFailed, match=meaning):
        apply(load_config(workspace.file), checks_reach=True)


def test_an_endpoint_that_cannot_be_reached_is_given_up_soon(tmp_path: Path) -> None:
    options = {"aws_endpoint": "http://127.0.0.1:9", "aws_region": "us-east-1", "aws_skip_signature": "true"}
    place = SharedSettings(uri="s3://bucket/x", storage_options=options)
    with pytest.raises(StagingUnavailable, match="cannot be reached"):
        check_places(Settings(home=str(tmp_path), state_url="sqlite://", shared=place))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"home": "s3://bucket/ingest"}, "home.*a folder of each machine.*shared.uri"),
        ({"launcher": "ray-job"}, "state.*belongs to one machine.*use one with a server"),
        ({"launcher": "temporal", "state": "env:STATE", "kv": "sqlite"}, "kv.*belongs to one machine"),
        ({"shared": {"uri": "s3://key:hush@bucket/x"}}, "holds a password"),
        ({"shared": {"uri": "s3://b/x", "storage_options": {"aws_secret_access_key": "hush"}}}, "is a secret"),
    ],
)
def test_what_cannot_be_shared_is_refused(workspace: Workspace, change: dict[str, Any], message: str) -> None:
    workspace.document |= change
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(workspace.write())
    assert "hush" not in str(caught.value)
    if "home" in change:
        with pytest.raises(ConfigError, match=message):
            load_settings(workspace.file)


def test_machines_without_a_shared_home_get_no_key_of_masks_each(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), state_url="sqlite://", shared=SharedSettings(uri="s3://bucket/x"))
    with pytest.raises(ConfigError, match="each machine would make a key of its own"):
        read_mask_key(settings, creates=True)


@pytest.mark.cluster
@pytest.mark.faults
def test_nodes_that_see_no_folder_of_each_other_load_every_row(
    bucket: Bucket, pg: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        missing("a mount namespace (root)")
    home = tmp_path / "home"
    home.mkdir()
    made = Installation(home, unit="numbers-1x4000", source={"slice_rows": 100, "bad": [7, 400], "journal": None})
    settings = made.settings.model_copy(
        update={
            "state_url": pg.url,
            "shared": SharedSettings.model_validate(shared(bucket, monkeypatch)),
        }
    )
    own = {"num_cpus": 1, "own_folder": str(home)}
    there = Nodes({"num_cpus": 0}, {**own, "labels": {"role": "reader"}}, {**own, "labels": {"role": "actors"}})
    try:
        ray = settings.ray.model_copy(
            update={
                "address": there.address,
                "inline_below": 0,
                "reader_labels": {"role": "reader"},
                "actor_labels": {"role": "actors"},
            }
        )
        lake = {"uri": f"{bucket.uri}/lake", "storage_options": bucket.options}
        order = made.order().model_copy(
            update={
                "settings": settings.model_copy(update={"ray": ray}),
                "sink": Endpoint(endpoint_id="lake", template="lake.delta", config=lake),
            }
        )
        file = tmp_path / "order.json"
        file.write_text(order.model_dump_json())
        command = [sys.executable, "-W", "ignore", "-m", "tests.run.run_process", str(file)]
        done = subprocess.run(
            command, cwd=ROOT, env=there.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        summary = RunSummary.model_validate_json(done.stdout.splitlines()[-1])
    finally:
        there.close()
    assert (summary.state, summary.rows.quarantined) == (RunState.SUCCEEDED, 2), summary.error
    assert summary.rows.committed == 3998
    assert list(home.iterdir()) == []
    assert {key.split("/")[0] for key in bucket.listed()} == {"ingest", "lake"}
    assert [entry.rows for entry in list_quarantine(quarantine_location(settings))] == [1, 1]
