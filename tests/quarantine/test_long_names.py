"""Names that are longer than a file system takes."""

from pathlib import Path

import pytest

from ingest_ray.files.folder import hint_for, open_folder
from ingest_ray.quarantine.rejected_rows import list_quarantine, promote_rejected_rows, read_rejected_rows
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.path_names import FILE_BYTES, PART_BYTES, path_part


def test_a_short_name_stays_and_long_ones_stay_different() -> None:
    assert path_part("a" * PART_BYTES) == "a" * PART_BYTES
    names = ["ж" * 200, "ж" * 201, "a/" * 200, "a/" * 201, "x" * 300 + ".", "x" * 300]
    parts = [path_part(name) for name in names] + [path_part(name, FILE_BYTES) for name in names]
    assert len(set(parts)) == len(parts)
    assert all(len(part.encode()) <= PART_BYTES for part in parts)


def test_rows_of_a_unit_with_a_long_name_are_found_in_quarantine(tmp_path: Path) -> None:
    unit, piece = "schema." + "表" * 150, "s/" * 150
    writer = QuarantineWriter(str(tmp_path), "shop", unit, "lake", "run", piece, "0" * 32)
    writer.reject({"id": 1}, "does not fit", "id")
    uri = writer.close()
    assert uri is not None
    assert promote_rejected_rows(uri) is not None
    (entry,) = list_quarantine(str(tmp_path), "shop", unit)
    assert [(row.unit_id, row.slice_id, row.raw) for row in read_rejected_rows(entry.uri)] == [(unit, piece, {"id": 1})]


def test_a_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        open_folder(str(tmp_path)).make("x" * 300)
    assert "a name that is too long" in hint_for(caught.value)
