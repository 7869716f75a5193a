"""Damaged staging files and state documents: found before a row of them is used."""

from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_ray.kv import open_kv
from ingest_ray.sdk.errors import StagingLost, StateUnreadable
from ingest_ray.staging import FileStaging
from ingest_ray.state.documents import IntentDocument, LeaseDocument, SegmentDocument, UnitDocument, parsed
from ingest_ray.testing.suites.staging import PAGE_BYTES, SCHEMA, rows
from tests.fuzz.refusals import refusal
from tests.searches import examples

FUZZ = settings(
    max_examples=examples(short=80, long=200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("seed", range(60))
def test_a_bit_flip_or_a_cut_anywhere_in_staging_is_lost_pages_and_never_other_rows(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    staging = FileStaging(str(tmp_path), page_bytes=PAGE_BYTES)
    writer = staging.open("run", "slice", 1, SCHEMA)
    for first in range(0, 400, 100):
        writer.write(rows(100, first))
    handle = writer.close()
    good = pa.Table.from_batches(staging.read(handle))
    file = random.choice(sorted(path for path in Path(handle.uri).iterdir() if path.is_file()))
    content = bytearray(file.read_bytes())
    index = random.randrange(len(content))
    if random.random() < 0.3:
        content = content[:index]
    else:
        content[index] ^= 1 << random.randrange(8)
    file.write_bytes(bytes(content))
    is_manifest = file.name not in {page.name for page in handle.pages}
    try:
        assert pa.Table.from_batches(staging.read(handle)).equals(good)
        assert is_manifest, "a damaged page was read"
    except StagingLost:
        pass
    try:
        found = staging.load(handle.uri)
        assert found.uri == handle.uri
        assert found.rows == handle.rows
    except StagingLost:
        assert is_manifest


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@FUZZ
@given(
    kind=st.sampled_from([UnitDocument, SegmentDocument, LeaseDocument, IntentDocument]),
    document=st.dictionaries(
        st.sampled_from(["schema_number", "epoch", "sequence", "run_id", "state", "owner", "claims", "expires_at"]),
        st.just(1) | json_values,
    ),
)
def test_any_state_document_is_read_as_what_it_is_or_refused(kind: Any, document: dict[str, Any]) -> None:
    found: list[Any] = []
    error = refusal(lambda: found.append(parsed(kind, "key", document)))
    if error is None:
        assert document["schema_number"] == 1
        assert found[0].epoch == document["epoch"]
    else:
        assert isinstance(error, StateUnreadable)
        assert "key" in error.message


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1', "\x00", "{" * 100_000, '{"a": NaN}', '"x"'])
def test_a_stored_value_that_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    import sqlite3

    url = f"sqlite:///{tmp_path}/state.db"
    kv = open_kv(url)
    kv.put("key", {}, 0)
    database = sqlite3.connect(tmp_path / "state.db")
    database.execute("UPDATE ingest_kv SET value = ? WHERE key = 'key'", (text,))
    database.commit()
    database.close()
    with pytest.raises(StateUnreadable, match="key"):
        kv.get("key")
    with pytest.raises(StateUnreadable, match="key"):
        list(kv.scan(""))
