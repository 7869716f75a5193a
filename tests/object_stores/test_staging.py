"""Staging in an object store: the behaviour suite, the number of requests, and faults of the store."""

import os
import threading
import time
from pathlib import Path

import pytest

from ingest_ray.engine.readers.lost_rows import keys_location
from ingest_ray.files.folder import open_folder
from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import ConfigError, StagingDenied, StagingLost, StagingUnavailable
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.types import Handle
from ingest_ray.secrets.locations import staging_location
from ingest_ray.settings import Settings, StagingSettings
from ingest_ray.staging import FileStaging, open_staging
from ingest_ray.staging.kept_runs import KeptRun, list_kept_runs, mark_kept, read_kept_slices
from ingest_ray.testing.suites.staging import PAGE_BYTES, SCHEMA, StagingSuite, read, rows, stage
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import Fault, every, first_of


class StoreWorld:
    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.location = Location(f"{bucket.uri}/a place/é?region=us-east-1", bucket.options)
        self.staging: Staging = self.again()

    def again(self) -> FileStaging:
        return FileStaging(self.location, page_bytes=PAGE_BYTES)

    def page_key(self, handle: Handle, number: int) -> str:
        return next(key for key in self.bucket.listed() if key.endswith(handle.pages[number].name))

    def lose_page(self, handle: Handle, number: int) -> None:
        self.bucket.delete(self.page_key(handle, number))

    def damage_page(self, handle: Handle, number: int) -> None:
        key = self.page_key(handle, number)
        content = bytearray(self.bucket.read(key))
        content[len(content) // 2] ^= 1
        self.bucket.write(key, bytes(content))


class TestStagingInAStore(StagingSuite):
    world = pytest.fixture(lambda self, bucket: StoreWorld(bucket))
    test_pages_have_their_size_however_the_batches_are_cut = pytest.mark.faults(
        StagingSuite.test_pages_have_their_size_however_the_batches_are_cut
    )


@pytest.fixture
def world(bucket: Bucket) -> StoreWorld:
    return StoreWorld(bucket)


def test_a_slice_of_one_page_costs_five_requests(world: StoreWorld) -> None:
    proxy = world.bucket.proxy
    handle = stage(world.staging, rows(10))
    assert [request.method for request in proxy.requests] == ["PUT", "PUT"]
    assert len(read(world.staging, handle)) == 10
    assert [request.method for request in proxy.requests[2:]] == ["GET", "GET"]
    world.staging.drop(handle)
    assert [request.method for request in proxy.requests[4:]] == ["POST"]
    assert world.bucket.listed() == []


def test_a_page_of_the_usual_size_is_one_request(world: StoreWorld) -> None:
    staging = FileStaging(world.location, page_bytes=8 * 1024 * 1024)
    handle = stage(staging, rows(10, chars=900_000))
    assert handle.bytes > 8 * 1024 * 1024
    assert len(world.bucket.proxy.requests) == len(handle.pages) + 1


def test_names_stand_before_the_query(world: StoreWorld) -> None:
    handle = stage(world.staging, rows(1))
    assert handle.uri == f"{world.bucket.uri}/a place/é/r1/all~s~0/1?region=us-east-1"
    keys = keys_location(world.location, "r1")
    assert keys.uri == f"{world.bucket.uri}/a place/é.repairs/r1?region=us-east-1"


def test_slices_that_an_older_version_kept_are_read(world: StoreWorld) -> None:
    """Its names stood after the query, and its pages had no marks."""
    handle = stage(world.staging, rows(3))
    old_uri = f"{world.location.uri}/r1/all~s~0/1"
    manifest = next(key for key in world.bucket.listed() if key.endswith("manifest.json"))
    world.bucket.write(manifest, handle.model_copy(update={"uri": old_uri}).model_dump_json().encode())
    mark_kept(world.location, KeptRun(run_id="r1", unit_key="u", started_at=1, until=time.time() + 60))
    assert [kept.run_id for kept in list_kept_runs(world.location, "u")] == ["r1"]
    (found,) = read_kept_slices(world.again(), world.location, "r1")
    assert read(world.again(), found) == rows(3).to_pylist()


def test_the_uri_of_pyarrow_with_its_endpoint_goes_on_working(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    endpoint = bucket.proxy.url.removeprefix("http://")
    uri = f"{bucket.uri}/staging?region=us-east-1&scheme=http&endpoint_override={endpoint}"
    staging = FileStaging(uri, page_bytes=PAGE_BYTES)
    assert read(staging, stage(staging, rows(2))) == rows(2).to_pylist()


def test_secrets_of_options_are_references(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("S3_SECRET", "secret")
    key = tmp_path / "key"
    key.write_text("key\n")
    options = {
        "aws_secret_access_key": "env:S3_SECRET",
        "aws_access_key_id": f"file:{key}",
        "aws_endpoint": bucket.proxy.url,
        "aws_region": "us-east-1",
    }
    settings = Settings(
        home=str(tmp_path),
        state_url="sqlite://",
        staging=StagingSettings(uri=f"{bucket.uri}/staging", storage_options=options),
    )
    assert "S3_SECRET" in settings.model_dump_json()
    assert '"secret"' not in settings.model_dump_json()
    assert staging_location(settings).options["aws_access_key_id"] == "key"
    assert "secret" not in repr(staging_location(settings))
    assert len(read(open_staging(settings, "files"), stage(open_staging(settings, "files"), rows(4)))) == 4
    monkeypatch.delenv("S3_SECRET")
    with pytest.raises(ConfigError, match=r"staging\.storage_options\.aws_secret_access_key.*S3_SECRET"):
        open_staging(settings, "files")


@pytest.mark.parametrize(
    "name",
    [
        "aws_secret_access_key",
        "AWS_SESSION_TOKEN",
        "aws_access_key_id",
        "azure_storage_account_key",
        "azure_storage_sas_key",
        "azure_client_secret",
        "google_service_account_key",
        "account_key",
        "sas_token",
        "aws_sse_customer_key_base64",
    ],
)
def test_a_plain_secret_among_the_options_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*reference") as caught:
        StagingSettings(uri="s3://b/x", storage_options={name: "hushhush"})
    assert "hushhush" not in str(caught.value).partition("[type=")[0]


@pytest.mark.parametrize("name", ["aws_region", "aws_endpoint", "azure_storage_account_name", "aws_sse_kms_key_id"])
def test_other_options_may_be_plain(name: str) -> None:
    assert StagingSettings(uri="s3://b/x", storage_options={name: "x"}).storage_options == {name: "x"}


@pytest.mark.parametrize("uri", ["s3://AKIA:hush@bucket/x", "s3://bucket/x?secret_key=hush", "az://c/x?sig=hush"])
def test_a_uri_with_credentials_is_refused_wherever_settings_are_made(uri: str) -> None:
    with pytest.raises(ValueError, match="must not hold"):
        StagingSettings(uri=uri)


def test_an_option_that_does_not_exist_is_named(bucket: Bucket) -> None:
    with pytest.raises(ConfigError, match="aws_regoin"):
        open_folder(Location(bucket.uri, {**bucket.options, "aws_regoin": "x"}))


def test_options_of_a_folder_on_disk_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no storage_options"):
        open_folder(Location(str(tmp_path), {"aws_region": "x"}))


@pytest.mark.parametrize("fault", ["busy", "cut", "lost", "slow"])
def test_faults_of_the_store_change_nothing(world: StoreWorld, fault: Fault) -> None:
    """Every third request fails: the client's own retries, and the checks of pages, are enough."""
    world.bucket.proxy.delay_s = 0.05
    world.bucket.proxy.rule = every(3, fault)
    handle = stage(world.staging, rows(10_000))
    found = None
    for _ in range(20):
        try:
            found = read(world.again(), handle)
            break
        except (StagingUnavailable, StagingLost):  # the reader's slice is read again
            continue
    assert found == rows(10_000).to_pylist()
    assert world.bucket.proxy.injected
    world.bucket.proxy.rule = lambda _: None
    world.staging.drop(handle)
    assert world.bucket.listed() == []


def test_a_mixture_of_faults_mixes_no_attempts(world: StoreWorld) -> None:
    world.bucket.proxy.delay_s = 0.02
    world.bucket.proxy.rule = first_of([every(7, "busy"), every(5, "lost"), every(11, "cut"), every(3, "slow")])
    first = stage(world.staging, rows(5_000), attempt=1)
    second = stage(world.again(), rows(5_000, start=9), attempt=1)
    for _ in range(20):
        try:
            assert read(world.staging, second) == rows(5_000, start=9).to_pylist()
            break
        except StagingUnavailable:
            continue
    else:
        raise AssertionError("the pages could not be read twenty times")
    with pytest.raises(StagingLost):
        read(world.staging, first)


@pytest.mark.parametrize(
    ("fault", "meaning"), [("denied", "credentials are wrong"), ("no-bucket", "bucket does not exist")]
)
def test_a_cause_that_stays_is_final(world: StoreWorld, fault: Fault, meaning: str) -> None:
    world.bucket.proxy.rule = lambda _: fault
    writer = world.staging.open("r1", "all~s~0", 1, SCHEMA)
    writer.write(rows(3))
    with pytest.raises(StagingDenied, match=meaning) as caught:
        writer.close()
    assert len(world.bucket.proxy.requests) == 1
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_other_threads_run_while_the_store_is_slow(world: StoreWorld) -> None:
    """The lease of a run is renewed by another thread."""
    beats, is_over = [], threading.Event()

    def beat() -> None:
        while not is_over.wait(0.01):
            beats.append(os.getpid())

    thread = threading.Thread(target=beat)
    thread.start()
    world.bucket.proxy.rule = lambda _: "slow"
    read(world.staging, stage(world.staging, rows(10)))
    is_over.set()
    thread.join()
    assert len(beats) > 10
