"""What keeps a run from its lake is named at once: by `plan`, by `apply --check` and by a test of the connection."""

import socket
from typing import Any

import pytest

from ingest_ray.config import load_config
from ingest_ray.sdk.errors import ConnectionTestFailed, SinkRejected, SinkUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs import execution
from ingest_ray.sinks import iceberg_reach
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.sinks.parquet_tables.sink import ParquetSink
from ingest_ray.sinks.parquet_template import ParquetConfig
from ingest_ray.sinks.templates import DeltaConfig, IcebergConfig
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import Fault
from tests.service.workspace import Workspace


def opened(bucket: Bucket, **options: Any) -> DeltaSink:
    return DeltaSink(
        DeltaConfig.model_validate({"uri": f"{bucket.uri}/lake", "storage_options": bucket.options | options})
    )


@pytest.mark.parametrize(
    ("fault", "meaning"), [("denied", "credentials are wrong"), ("no-bucket", "bucket does not exist")]
)
def test_a_cause_that_a_person_must_mend_is_final(bucket: Bucket, fault: Fault, meaning: str) -> None:
    bucket.proxy.rule = lambda _: fault
    config = {"uri": f"{bucket.uri}/lake", "storage_options": bucket.options}
    for sink in (opened(bucket), ParquetSink(ParquetConfig.model_validate(config))):
        with pytest.raises(SinkRejected, match=meaning) as caught:
            sink.check_reach()
        assert caught.value.hint
    assert len(bucket.proxy.requests) == 2


def test_an_endpoint_that_does_not_answer_is_given_up_soon(bucket: Bucket) -> None:
    opened(bucket).check_reach()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SinkUnavailable, match=r"does not answer|cannot be reached"):
            opened(bucket, aws_endpoint=address).check_reach()


def iceberg(bucket: Bucket, **config: Any) -> IcebergSink:
    options = {
        "s3.endpoint": bucket.proxy.url,
        "s3.access-key-id": "key",
        "s3.secret-access-key": "secret",
        "s3.region": "us-east-1",
    }
    return IcebergSink(IcebergConfig.model_validate({"warehouse": f"{bucket.uri}/lake", "options": options, **config}))


@pytest.mark.parametrize(
    ("fault", "meaning"), [("denied", "credentials are wrong"), ("no-bucket", "bucket does not exist")]
)
def test_iceberg_names_a_cause_that_a_person_must_mend(
    bucket: Bucket, tmp_path: Any, fault: Fault, meaning: str
) -> None:
    sink = iceberg(bucket, uri=f"sqlite:///{tmp_path}/catalog.db")
    sink.check_reach()
    bucket.proxy.rule = lambda _: fault
    with pytest.raises(SinkRejected, match=meaning) as caught:
        sink.check_reach()
    assert "secret" not in str(caught.value)
    assert len(bucket.proxy.requests) == 2


@pytest.mark.parametrize(("catalog", "field"), [("rest", "uri"), ("glue", "glue.endpoint")])
def test_a_catalog_of_iceberg_that_does_not_answer_is_given_up_soon(
    bucket: Bucket, catalog: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iceberg_reach, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = {"uri": address} if field == "uri" else {"options": {field: address}}
        with pytest.raises(SinkUnavailable, match="cannot be reached") as caught:
            iceberg(bucket, catalog=catalog, **config).check_reach()
    assert address in str(caught.value)
    assert caught.value.hint


def test_plan_and_apply_name_a_missing_bucket(bucket: Bucket, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    workspace = Workspace(tmp_path)
    lake = {"uri": "s3://no-such-bucket-here/lake", "storage_options": bucket.options}
    workspace.document["sinks"][0]["config"] = lake
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.calls()
    with pytest.raises(SinkRejected, match="bucket does not exist"):
        execution.plan(workspace.installation, UnitRef("shop", "numbers-1x1000"))
    assert not [call for call in workspace.calls() if call.startswith(("probe", "plan", "read"))]
    with pytest.raises(ConnectionTestFailed, match="bucket does not exist"):
        apply(load_config(workspace.file), checks_reach=True)
