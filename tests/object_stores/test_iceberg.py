"""The Iceberg sink with live catalogs and files in an object store: Glue and S3 (moto's), PostgreSQL, a witness of the REST API.

Every request for a file, and for Glue, goes through the proxy that breaks some. Rows are read back without it.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog

from ingest_ray.kv.engine import state_engine
from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Prepared, Target, WriteMode
from ingest_ray.sinks.iceberg.catalog import _EngineCatalog
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.sinks.templates import IcebergConfig
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink import SCHEMA, Load, SinkSuite, rows
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import Request, every, first_of, some
from tests.object_stores.rest_catalog import CLIENT, SECRET, RestCatalogServer, serve

KINDS = ["glue", "postgres", "rest"]


class CloudWorld:
    """`config`: how the sink reaches its catalog. `catalog`: how a reader does, without the proxy."""

    def __init__(
        self, bucket: Bucket, config: dict[str, Any], catalog: Catalog, rest: RestCatalogServer | None
    ) -> None:
        self.bucket = bucket
        self.rest = rest
        self.catalog = catalog
        self._config = config

    def open(self) -> Sink:
        options = {**files_through(self.bucket.proxy.url), **self._config.get("options", {})}
        return IcebergSink(IcebergConfig.model_validate({**self._config, "options": options}))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        sink = self.open()
        assert isinstance(sink, IcebergSink)
        return list(self.catalog.load_table(sink._catalog.identifier(target)).scan().to_arrow().to_pylist())


def files_through(url: str) -> dict[str, str]:
    return {
        "s3.endpoint": url,
        "s3.access-key-id": "key",
        "s3.secret-access-key": "secret",
        "s3.region": "us-east-1",
    }


@pytest.fixture(scope="session")
def versioned_glue() -> Iterator[None]:
    """Glue refuses an update of another version than the table's newest; moto does not compare them.

    https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html (VersionId, ConcurrentModificationException)
    """
    from moto.glue.exceptions import GlueClientError
    from moto.glue.responses import GlueResponse

    real, lock = GlueResponse.update_table, threading.Lock()

    def update(self: Any) -> Any:
        with lock:
            table = self.glue_backend.get_table(self.parameters["DatabaseName"], self.parameters["TableInput"]["Name"])
            if str(self.parameters.get("VersionId")) != str(max(map(int, table.versions))):
                raise GlueClientError("ConcurrentModificationException", "the table has another version")
            return real(self)

    GlueResponse.update_table = update
    yield
    GlueResponse.update_table = real


def cloud(kind: str, bucket: Bucket, folder: Path, request: pytest.FixtureRequest, stack: ExitStack) -> CloudWorld:
    warehouse, direct = f"{bucket.uri}/lake", files_through(bucket.client.meta.endpoint_url)
    if kind == "glue":
        request.getfixturevalue("versioned_glue")
        keys = {"glue.region": "us-east-1", "glue.access-key-id": "key", "glue.secret-access-key": "secret"}
        options = {**keys, "glue.endpoint": bucket.proxy.url}
        config = {"catalog": "glue", "warehouse": warehouse, "namespace": f"raw_{bucket.name.replace('-', '_')}"}
        reader = load_catalog("ingest", type="glue", **keys, **direct, **{"glue.endpoint": direct["s3.endpoint"]})
        return CloudWorld(bucket, {**config, "options": options}, reader, None)
    if kind == "postgres":
        pg: Postgres = request.getfixturevalue("pg")
        reader = _EngineCatalog("ingest", state_engine(pg.url), direct)
        stack.callback(reader.engine.dispose)
        return CloudWorld(bucket, {"uri": pg.url, "warehouse": warehouse}, reader, None)
    uri = f"sqlite:///{folder}/catalog.db"
    if kind == "sqlite":
        reader = _EngineCatalog("ingest", state_engine(uri), direct)
        stack.callback(reader.engine.dispose)
        return CloudWorld(bucket, {"uri": uri, "warehouse": warehouse}, reader, None)
    reader = SqlCatalog("ingest", uri=uri, warehouse=warehouse, **direct)
    stack.callback(reader.engine.dispose)
    server = stack.enter_context(serve(reader))
    config = {"catalog": "rest", "uri": server.url, "options": {"credential": f"{CLIENT}:{SECRET}"}}
    return CloudWorld(bucket, config, reader, server)


@pytest.fixture(params=KINDS)
def world(
    request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CloudWorld]:
    with ExitStack() as stack:
        yield cloud(request.param, bucket, tmp_path, request, stack)


@pytest.mark.faults
class TestIcebergInObjectStores(SinkSuite):
    @pytest.fixture(params=KINDS)
    def world(self, request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Path) -> Iterator[CloudWorld]:
        with ExitStack() as stack:
            yield cloud(request.param, bucket, tmp_path, request, stack)


@pytest.mark.faults
def test_rows_are_written_merged_and_erased_while_the_store_breaks_requests(world: CloudWorld) -> None:
    world.bucket.proxy.rule = first_of(
        [some(0.1, "busy"), some(0.05, "lost"), every(17, "cut", lambda one: one.method == "GET")]
    )
    load = Load(world, WriteMode.UPSERT)
    put(load, *((number, 1, "a") for number in range(5)))
    put(load, (2, 2, "b"), (7, 1, "c"))
    put(load, (2, 1, "old"))
    world.bucket.proxy.rule = lambda _: None
    assert load.erase([(1,), (4,)], "delete") == 2
    assert load.found() == [(0, 1, "a"), (2, 2, "b"), (3, 1, "a"), (7, 1, "c")]
    assert {fault for fault, _ in world.bucket.proxy.injected} >= {"busy", "lost"}


def put(load: Load, *values: tuple[int, int, str]) -> None:
    """As the engine does: a slice or a commit that did not happen is tried again, the commit under its number."""
    group = [again(lambda: load.prepare(rows(*values)))]
    load.sequence += 1
    again(lambda: load.sink.commit(load.target, SCHEMA, load.epoch, load.sequence, group))


def again(action: Any) -> Any:
    from ingest_ray.sdk.errors import CommitUnknown, SinkUnavailable

    for _ in range(20):
        try:
            return action()
        except (SinkUnavailable, CommitUnknown):
            continue
    raise AssertionError("the sink was not available twenty times")


@pytest.mark.slow
def test_a_commit_whose_answer_is_lost_happens_once(world: CloudWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    put(load, (1, 1, "a"))
    lost: list[object] = []

    def lose_once(*_: object) -> Any:
        lost.append(_)
        return "lost" if len(lost) == 1 else None

    if world.rest is not None:
        world.rest.rule = lambda method, path: lose_once() if method == "POST" and "/tables/" in path else None
    else:
        world.bucket.proxy.rule = lambda one: lose_once() if _is_update(one) else None
    put(load, (2, 1, "b"))
    assert lost
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]


def _is_update(request: Request) -> bool:
    """An update of Glue, whose requests all go to `/`; or the file of metadata that another catalog names after it was written."""
    return (request.method == "POST" and request.path == "/") or request.path.endswith(".metadata.json")


def race(world: CloudWorld, rounds: int) -> None:
    """In every round two writers of one epoch prepare one row each and commit it under the same number."""
    load = Load(world, WriteMode.APPEND)
    sinks = [world.open(), world.open()]
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, rounds + 1):
            batches = [rows((2 * number + n, 1, "x")) for n in (0, 1)]
            groups = [[again(partial(load.prepare, batch))] for batch in batches]
            together = threading.Barrier(2)

            def commit(
                index: int,
                groups: Sequence[Sequence[Prepared]] = groups,
                together: threading.Barrier = together,
                number: int = number,
            ) -> None:
                together.wait(60)
                again(lambda: sinks[index].commit(load.target, SCHEMA, 1, number, groups[index]))

            list(pool.map(commit, (0, 1)))
    assert sorted(row[0] // 2 for row in load.found() if row[0] is not None) == list(range(1, rounds + 1))


@pytest.mark.slow
def test_of_two_writers_of_one_number_exactly_one_commits(world: CloudWorld) -> None:
    race(world, 2)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_of_two_writers_of_one_number_exactly_one_commits_a_hundred_times(world: CloudWorld) -> None:
    race(world, 100)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_of_two_writers_of_one_number_exactly_one_commits_a_thousand_times_in_a_store_that_breaks_requests(
    bucket: Bucket, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bucket.proxy.rule = first_of(
        [some(0.05, "busy"), some(0.03, "lost"), every(31, "cut", lambda one: one.method == "GET")]
    )
    with ExitStack() as stack:
        world = cloud("sqlite", bucket, tmp_path, request, stack)
        race(world, int(os.environ.get("INGEST_RACES", "1000")))
    assert {fault for fault, _ in bucket.proxy.injected} == {"busy", "lost", "cut"}


def test_a_wrong_secret_of_a_rest_catalog_is_refused_without_showing_it(bucket: Bucket, tmp_path: Path) -> None:
    catalog = SqlCatalog("ingest", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=bucket.uri)
    with serve(catalog) as server:
        config = {"catalog": "rest", "uri": server.url, "options": {"credential": f"{CLIENT}:wr0ng"}}
        with pytest.raises(SinkRejected, match="refused the login") as caught:
            Load(CloudWorld(bucket, config, catalog, server), WriteMode.APPEND)
    catalog.engine.dispose()
    assert "wr0ng" not in str(caught.value)


def test_requests_to_a_rest_catalog_are_signed_where_that_is_configured(bucket: Bucket, tmp_path: Path) -> None:
    """The form of the signature; the witness does not compute it again."""
    direct = files_through(bucket.client.meta.endpoint_url)
    catalog = SqlCatalog("ingest", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=bucket.uri, **direct)
    signing = {"rest.sigv4-enabled": "true", "rest.signing-region": "us-east-1", "rest.signing-name": "glue"}
    keys = {"client.access-key-id": "key", "client.secret-access-key": "secret", "client.region": "us-east-1"}
    with serve(catalog, "sigv4") as server:
        config = {"catalog": "rest", "uri": server.url, "options": {**signing, **keys}}
        load = Load(CloudWorld(bucket, config, catalog, server), WriteMode.APPEND)
        put(load, (1, 1, "a"))
        assert load.found() == [(1, 1, "a")]
    catalog.engine.dispose()
