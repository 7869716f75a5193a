"""Staging and the lakes in the stores of Amazon, Azure and Google, each behind a proxy that breaks requests.

Google's server stands in for the store with its JSON interface: the proxy translates uploads, and the server compares generations.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import boto3
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.files.conditional import ConditionalFiles
from ingest_ray.quarantine.rejected_rows import (
    delete_rejected_rows,
    list_quarantine,
    promote_rejected_rows,
    read_rejected_rows,
)
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import CommitUnknown, SinkRejected, SinkUnavailable, StagingDenied
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.testing.suites.sink import Load, SinkSuite
from ingest_ray.testing.suites.sink_harness import rows
from ingest_ray.testing.suites.staging import StagingSuite, read, stage
from ingest_ray.testing.suites.staging import rows as staged_rows
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import StoreProxy, every, first_of, open_proxy
from tests.object_stores.proxy_process import ANSWERS, Kind, ProxyProcess, run_proxy, translation_of
from tests.object_stores.servers import run_azurite, run_fake_gcs, run_moto
from tests.object_stores.stores import AzureBucket, GoogleBucket
from tests.object_stores.test_delta import LakeWorld, _once, _put
from tests.object_stores.test_parquet import ParquetWorld
from tests.object_stores.test_staging import StoreWorld

KINDS: list[Kind] = ["amazon", "azure", "google"]
OTHERS: list[Kind] = ["azure", "google"]
SHARES = {"busy": 0.04, "slow": 0.03, "lost": 0.03, "cut": 0.03, "conditional": 7}


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[Kind], str]]:
    """The address of a kind's server, which is started when it is first asked for."""
    started: dict[Kind, str] = {}
    starts = {"amazon": run_moto, "azure": run_azurite, "google": run_fake_gcs}
    with ExitStack() as stack:

        def of(kind: Kind) -> str:
            if kind not in started:
                started[kind] = stack.enter_context(starts[kind]())
            return started[kind]

        yield of


def made(kind: Kind, server: str, proxy_url: str, proxy: Any) -> Any:
    """A new bucket, behind the proxy."""
    if kind == "amazon":
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        return Bucket(boto3.client("s3", endpoint_url=server, **keys), cast(StoreProxy, proxy))
    store = AzureBucket(server, proxy_url) if kind == "azure" else GoogleBucket(server, proxy_url)
    store.proxy = proxy
    return store


@contextmanager
def opened(kind: Kind, servers: Callable[[Kind], str]) -> Iterator[Any]:
    server = servers(kind)
    with open_proxy(server, ANSWERS[kind], translation_of(kind)) as proxy:
        store = made(kind, server, proxy.url, proxy)
        yield store
        store.close()


@pytest.fixture(params=OTHERS)
def store(request: pytest.FixtureRequest, servers: Callable[[Kind], str]) -> Iterator[Any]:
    with opened(request.param, servers) as found:
        yield found


class StagingWorldOfStore(StoreWorld):
    """Staging, without what is the option of one store."""

    def __init__(self, bucket: Any) -> None:
        self.bucket = bucket
        self.location = Location(f"{bucket.uri}/a place/é", bucket.options)
        self.staging = self.again()


def test_what_is_staged_is_read_and_dropped_while_the_store_breaks_requests(store: Any) -> None:
    world = StagingWorldOfStore(store)
    store.proxy.delay_s = 0.02
    store.proxy.rule = first_of([every(3, "busy"), every(4, "lost"), every(2, "slow")])
    handle = stage(world.staging, staged_rows(5_000))
    assert read(world.again(), handle) == staged_rows(5_000).to_pylist()
    assert {fault for fault, _ in store.proxy.injected} == {"busy", "lost", "slow"}
    store.proxy.rule = lambda _: None
    assert list(world.again().runs()) == ["r1"]
    world.staging.drop(handle)
    assert store.listed() == []


def test_a_commit_whose_answer_is_lost_counts_once(store: Any) -> None:
    load = Load(LakeWorld(store), WriteMode.APPEND)
    load.put((1, 1, "a"))
    store.proxy.rule = _once("lost", lambda request: request.is_conditional)
    receipt = _put(load, (2, 1, "b"))
    assert store.proxy.injected
    assert (receipt.sequence, receipt.rows_committed) == (2, 1)
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]


def test_a_file_is_made_once_and_replaced_by_newer_ones_only(store: Any) -> None:
    files = ConditionalFiles(Location(f"{store.uri}/x", store.options))
    store.proxy.rule = every(1, "lost", lambda request: request.is_conditional and len(store.proxy.injected) < 2)
    assert files.create_once("one", b"1")
    assert not files.create_once("one", b"other")
    for number in (b"2", b"1", b"3"):
        files.replace_older("one", number, lambda found, number=number: found < number)  # type: ignore[misc]
    assert files.read("one") == b"3"
    assert len(store.proxy.injected) == 2


def test_rejected_rows_are_promoted_once_and_deleted(store: Any) -> None:
    root = Location(f"{store.uri}/quarantine", store.options)
    writer = QuarantineWriter(root, "shop", "a b/é", "lake", "run/1", "all~s~0", 1)
    writer.reject({"id": 7}, "no number")
    pending = writer.close()
    assert pending is not None
    store.proxy.rule = every(4, "lost")
    (official,) = {promote_rejected_rows(root.at(pending)) for _ in range(2)}
    assert official is not None
    (entry,) = list_quarantine(root)
    assert [row.raw for row in read_rejected_rows(root.at(entry.uri))] == [{"id": 7}]
    assert len(store.listed()) == 1
    delete_rejected_rows(root.at(official))
    assert store.listed() == []


def test_causes_that_a_person_must_mend_are_named(store: Any) -> None:
    store.proxy.rule = lambda _: "denied"
    with pytest.raises(StagingDenied, match="credentials are wrong"):
        stage(StagingWorldOfStore(store).staging, staged_rows(3))
    with pytest.raises(SinkRejected, match="credentials are wrong"):
        cast(Any, LakeWorld(store).open()).check_reach()
    store.proxy.rule = lambda _: "no-bucket"
    with pytest.raises(SinkRejected, match="bucket does not exist"):
        cast(Any, LakeWorld(store).open()).check_reach()


class PatientSink:
    """Repeats what did not happen, as the engine does; an unknown end of a commit is looked up by opening the sink."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._sink = make()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._sink, name)
        return (lambda *given, **named: self._call(found, given, named)) if callable(found) else found

    def _call(self, found: Callable[..., Any], given: Any, named: Any) -> Any:
        kept = [(list(one), True) if isinstance(one, Iterator) else (one, False) for one in given]
        for _ in range(30):
            again = [iter(one) if is_iterator else one for one, is_iterator in kept]
            try:
                return found(*again, **named)
            except CommitUnknown:
                self._call(self._sink.open, given[:3], {})
            except SinkUnavailable:
                continue
        raise AssertionError("the sink was not available thirty times")


class BrokenLake(LakeWorld):
    """Written through a proxy that breaks requests, and read through one that does not."""

    bucket: Any

    def __init__(self, kind: Kind, server: str, proxy: ProxyProcess) -> None:
        self.kind = kind
        self.server = server
        super().__init__(made(kind, server, proxy.url, proxy))

    def open(self) -> Sink:
        return cast(Sink, PatientSink(super().open))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        with open_proxy(self.server, ANSWERS[self.kind], translation_of(self.kind)) as whole:
            table = DeltaTable(self.open().location(target), storage_options=self.bucket.options_at(whole.url))
            return list(pa.table(QueryBuilder().register("t", table).execute("SELECT * FROM t")).to_pylist())


class BrokenParquet(ParquetWorld):
    def open(self) -> Sink:
        return cast(Sink, PatientSink(super().open))


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_upserts_and_erasures_survive_faults_of_every_kind(kind: Kind, servers: Callable[[Kind], str]) -> None:
    with run_proxy(servers(kind), kind, SHARES) as proxy:
        world = BrokenLake(kind, servers(kind), proxy)
        load = Load(world, WriteMode.UPSERT)
        for number in range(1, 13):
            load.commit(load.prepare(rows(*((key, number, "x") for key in range(number, number + 20)))))
        assert load.erase([(1,), (2,)], "delete") == 2
        assert sorted(map(str, load.found())) == sorted(str((key, min(key, 12), "x")) for key in range(3, 32))
        world.bucket.close()
    assert {"busy", "slow", "lost"} <= proxy.injected.keys()


@pytest.mark.faults
class TestStagingInEveryStore(StagingSuite):
    @pytest.fixture(params=OTHERS)
    def world(self, request: pytest.FixtureRequest, servers: Callable[[Kind], str]) -> Iterator[StagingWorldOfStore]:
        with opened(request.param, servers) as found:
            yield StagingWorldOfStore(found)


@pytest.mark.faults
@pytest.mark.timeout(600)
class TestDeltaInEveryStore(SinkSuite):
    @pytest.fixture(params=OTHERS)
    def world(self, request: pytest.FixtureRequest, servers: Callable[[Kind], str]) -> Iterator[BrokenLake]:
        kind: Kind = request.param
        with run_proxy(servers(kind), kind, SHARES) as proxy:
            world = BrokenLake(kind, servers(kind), proxy)
            yield world
            world.bucket.close()


@pytest.mark.faults
@pytest.mark.timeout(600)
class TestParquetInEveryStore(SinkSuite):
    @pytest.fixture(params=OTHERS)
    def world(self, request: pytest.FixtureRequest, servers: Callable[[Kind], str]) -> Iterator[BrokenParquet]:
        kind: Kind = request.param
        with run_proxy(servers(kind), kind, SHARES) as proxy:
            store = made(kind, servers(kind), proxy.url, proxy)
            yield BrokenParquet(store)
            store.close()
