"""Fills an installation with many endpoints, units and runs, written directly into catalog and KV."""

from datetime import UTC, datetime

from ingest_ray.catalog import dataset_versions, endpoints, run_records, unit_configs
from ingest_ray.catalog.dataset_versions import Differences
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.kv.keys import segment_key, unit_key
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import (
    Column,
    Dataset,
    Endpoint,
    RowCounts,
    RunMode,
    RunState,
    RunSummary,
    SegmentState,
    UnitConfig,
)
from ingest_ray.service.installation import Installation
from ingest_ray.state.documents import SegmentDocument, UnitDocument, dumped

COLUMNS = tuple(Column(name=name, source_type="bigint", arrow="int64") for name in ("id", "at", "amount", "state"))


def filled(installation: Installation, endpoint_count: int, unit_count: int, run_count: int) -> None:
    """`unit_count` and `run_count` are per endpoint; existing documents are written again."""
    for n in range(endpoint_count):
        _fill(installation, f"e{n}", unit_count, run_count)


def _fill(installation: Installation, endpoint_id: str, unit_count: int, run_count: int) -> None:
    names = [f"u{n:05}" for n in range(unit_count)]
    moment = datetime.now(UTC)
    stamp = f"{moment:%Y%m%dT%H%M%S%f}"
    with installation.catalog.begin() as connection:
        endpoint = Endpoint(endpoint_id=endpoint_id, template="testing.scripted", config={"units": []})
        endpoints.save(connection, Registration(endpoint=endpoint, role="source", vendor="testing"))
        run_records.begin_collection(connection, f"{stamp}-{endpoint_id}", endpoint_id)
        found = [
            Dataset(endpoint_id=endpoint_id, name=name, columns=COLUMNS, primary_key=("id",), estimated_rows=1000)
            for name in names
        ]
        dataset_versions.record(connection, endpoint_id, found)
        run_records.end_collection(connection, f"{stamp}-{endpoint_id}", Differences(found=len(found)))
        for name in names:
            config = UnitConfig(
                endpoint_id=endpoint_id,
                unit_id=name,
                sink_id="lake",
                enabled=True,
                run_mode=RunMode.INCREMENTAL,
                schedule_kind="INTERVAL",
                schedule_interval_minutes=60,
            )
            if unit_configs.find(connection, config.ref) is None:
                unit_configs.put(connection, config, "set", 0)
        for n in range(run_count):
            summary = RunSummary(
                run_id=f"{stamp}-{endpoint_id}-{n:05}",
                endpoint_id=endpoint_id,
                unit_id=names[n % unit_count],
                sink_id="lake",
                state=RunState.RUNNING,
                rows=RowCounts(read=1000, staged=1000, committed=1000),
                started_at=moment,
            )
            run_records.start(connection, summary, "{}")
            run_records.finish(connection, summary.model_copy(update={"state": RunState.SUCCEEDED}))
    for name in names:
        key = unit_key("testing", UnitRef(endpoint_id, name), "lake")
        if installation.kv.get(key) is None:
            installation.kv.put(key, dumped(UnitDocument(epoch=1, sequence=4, run_id="r", cursor="at")), 0)
            state = SegmentState(segment="all", watermark=(1000,), is_loaded=True)
            installation.kv.put(segment_key(key, "all"), dumped(SegmentDocument(epoch=1, state=state)), 0)
