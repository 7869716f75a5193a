"""Both staging providers: the behaviour suite, and behaviour of only one of them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import ConfigError, StagingLost, StagingTooLarge, StagingUnavailable
from ingest_ray.sdk.types import Handle
from ingest_ray.settings import Settings, StagingSettings
from ingest_ray.staging import FileStaging, MemoryPages, ObjectStaging, open_staging
from ingest_ray.testing.suites.staging import PAGE_BYTES, SCHEMA, StagingSuite, read, rows, stage
from tests.forks import run_code


class FileWorld:
    def __init__(self, root: str) -> None:
        self._root = root
        self.staging: Staging = self.again()

    def again(self) -> Staging:
        return FileStaging(self._root, page_bytes=PAGE_BYTES)

    def lose_page(self, handle: Handle, number: int) -> None:
        Path(handle.uri, handle.pages[number].name).unlink()

    def damage_page(self, handle: Handle, number: int) -> None:
        path = Path(handle.uri, handle.pages[number].name)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


class MemoryWorld:
    def __init__(self) -> None:
        self._pages = MemoryPages(cap_bytes=64 * 1024 * 1024)
        self.staging: Staging = self.again()

    def again(self) -> Staging:
        return ObjectStaging(self._pages, page_bytes=PAGE_BYTES)

    def lose_page(self, handle: Handle, number: int) -> None:
        self._pages.drop([handle.pages[number].name])

    def damage_page(self, handle: Handle, number: int) -> None:
        pages = self._pages._index._pages
        run_id, page, size_bytes = pages[handle.pages[number].name]
        content = bytearray(page.to_pybytes())
        content[len(content) // 2] ^= 1
        pages[handle.pages[number].name] = (run_id, pa.py_buffer(bytes(content)), size_bytes)


class TestFiles(StagingSuite):
    world = pytest.fixture(lambda self, tmp_path: FileWorld(str(tmp_path / "a place" / "é%20")))


class TestFileUri(StagingSuite):
    world = pytest.fixture(lambda self, tmp_path: FileWorld(tmp_path.as_uri() + "/staging"))


class TestObjectStore(StagingSuite):
    world = pytest.fixture(lambda self: MemoryWorld())


@pytest.fixture
def files(tmp_path: Path) -> FileStaging:
    return FileStaging(str(tmp_path / "staging"), page_bytes=PAGE_BYTES)


def test_c35_pages_without_a_manifest_are_lost(files: FileStaging) -> None:
    handle = stage(files, rows(5))
    Path(handle.uri, "manifest.json").unlink()
    with pytest.raises(StagingLost, match=r"manifest of .* is gone"):
        read(files, handle)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "\0" * len(text),
        lambda text: text.replace('"schema_number":1', '"schema_number":2'),
        lambda text: text.replace('"rows":5,"bytes"', '"rows":4,"bytes"', 1),
        lambda text: json.dumps({**json.loads(text), "more": 1}),
        lambda text: json.dumps({**json.loads(text), "attempt": 7}),
        lambda text: "[]",
    ],
    ids=[
        "empty",
        "truncated",
        "zeroed",
        "unknown number",
        "rows do not add up",
        "unknown field",
        "another attempt",
        "no object",
    ],
)
def test_c36_a_spoilt_manifest_is_lost_not_misread(files: FileStaging, spoil: Callable[[str], str]) -> None:
    handle = stage(files, rows(5))
    path = Path(handle.uri, "manifest.json")
    before = path.read_text()
    path.write_text(spoil(before))
    assert path.read_text() != before
    with pytest.raises(StagingLost, match="manifest"):
        read(files, handle)


def test_a_page_that_was_cut_short_is_lost(files: FileStaging) -> None:
    handle = stage(files, rows(5))
    os.truncate(Path(handle.uri, handle.pages[0].name), handle.pages[0].bytes - 1)
    with pytest.raises(StagingLost, match=f"instead of {handle.pages[0].bytes}"):
        read(files, handle)


@pytest.mark.slow
def test_c31_a_writer_killed_before_the_manifest_leaves_no_slice(files: FileStaging, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from ingest_ray.staging import FileStaging\n"
        "from ingest_ray.testing.suites.staging import PAGE_BYTES, SCHEMA, rows\n"
        "writer = FileStaging(sys.argv[1], page_bytes=PAGE_BYTES).open('r1', 'all~s~0', 1, SCHEMA)\n"
        "writer.write(rows(20_000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run_code(script, str(tmp_path / "staging"))
    attempt = tmp_path / "staging" / "r1" / "all~s~0" / "1"
    assert len(list(attempt.iterdir())) > 1
    with pytest.raises(StagingLost):
        files.load(str(attempt))
    assert read(files, stage(files, rows(3))) == rows(3).to_pylist()


def test_two_processes_with_one_attempt_number_never_mix_their_pages(files: FileStaging) -> None:
    slow, quick = files.open("r1", "all~s~0", 1, SCHEMA), files.open("r1", "all~s~0", 1, SCHEMA)
    slow.write(rows(20_000))
    quick.write(rows(20_000, start=7))
    first, second = slow.close(), quick.close()
    with pytest.raises(StagingLost):
        read(files, first)
    try:
        found = read(files, second)
    except StagingLost:
        found = rows(20_000, start=7).to_pylist()  # lost is fine, mixed is not
    assert found == rows(20_000, start=7).to_pylist()


def test_a_handle_of_another_root_is_refused(files: FileStaging, tmp_path: Path) -> None:
    elsewhere = FileStaging(str(tmp_path / "staging2"), page_bytes=PAGE_BYTES)
    handle = stage(elsewhere, rows(1))
    with pytest.raises(StagingLost, match="not under the staging root"):
        read(files, handle)


def test_a_full_disk_says_which_path_and_what_to_do(monkeypatch: pytest.MonkeyPatch, files: FileStaging) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is missing")
    writer = files.open("r1", "all~s~0", 1, SCHEMA)
    attempt = Path(files._folder.uri, "r1", "all~s~0", "1")
    (attempt / "page-00000.arrow.part").symlink_to("/dev/full")
    with pytest.raises(StagingUnavailable, match=r"page-00000\.arrow.*No space left") as caught:
        writer.write(rows(20_000))
    assert "free space" in str(caught.value.hint)


def test_a_root_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StagingUnavailable, match="file"):
        FileStaging(str(tmp_path / "file"), page_bytes=PAGE_BYTES).open("r", "s", 1, SCHEMA)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_without_rights_is_unavailable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StagingUnavailable, match=r"(?i)permission") as caught:
            FileStaging(str(tmp_path / "x"), page_bytes=PAGE_BYTES).open("r", "s", 1, SCHEMA)
        assert "rights" in str(caught.value.hint)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("root", ["nope://x/y", "s4://bucket"])
def test_an_unknown_kind_of_root_is_the_users_mistake(root: str) -> None:
    with pytest.raises(ConfigError, match=root):
        FileStaging(root, page_bytes=PAGE_BYTES)


def test_local_pages_are_memory_mapped(files: FileStaging) -> None:
    handle = stage(files, rows(2_000))
    before = pa.total_allocated_bytes()
    batches = list(files.read(handle))
    assert sum(batch.num_rows for batch in batches) == 2_000
    assert pa.total_allocated_bytes() - before < handle.bytes / 4


def test_the_object_store_refuses_more_than_its_cap_per_run() -> None:
    staging = ObjectStaging(MemoryPages(cap_bytes=4 * PAGE_BYTES), page_bytes=PAGE_BYTES)
    small = stage(staging, rows(100), run="r0")
    with pytest.raises(StagingTooLarge, match="cap") as caught:
        stage(staging, rows(50_000), run="r1")
    assert "files" in str(caught.value.hint)
    assert len(read(staging, small)) == 100
    assert stage(staging, rows(100), run="r2").rows == 100


def test_settings_choose_the_provider(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), state_url="sqlite://", staging=StagingSettings(page_bytes=PAGE_BYTES))
    staging = open_staging(settings, "files")
    assert stage(staging, rows(1)).uri.startswith(str(tmp_path / "staging"))
    assert open_staging(settings, "object-store", MemoryPages(1)).provider == "object-store"
    with pytest.raises(ConfigError, match="Ray"):
        open_staging(settings, "object-store")
