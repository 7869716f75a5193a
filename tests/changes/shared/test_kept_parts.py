"""Parts of a log that a process keeps, and the file of their messages."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest_ray.sdk.errors import StagingUnavailable
from ingest_strategies.jdbc.changes import kept_parts, log_spool
from ingest_strategies.jdbc.changes.kept_parts import KeptParts
from ingest_strategies.jdbc.changes.log_spool import CHUNK_BYTES, LogSpool


@dataclass(frozen=True)
class Part:
    end: int
    size_bytes: int = 10


def ends(parts: KeptParts[str, Part], key: str = "log") -> list[int]:
    return [end for end in range(200) if parts.find(key, lambda part, end=end: part.end == end)]


def test_parts_that_end_first_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_parts, "KEPT_BYTES", 35)
    parts = KeptParts[str, Part]()
    for end in (50, 60, 10, 70, 80):
        parts.keep("log", Part(end))
    assert ends(parts) == [60, 70, 80]
    parts.keep("other", Part(5, 1_000))
    assert (ends(parts), ends(parts, "other")) == ([60, 70, 80], [5])
    parts.release(lambda key, part: part.end > 60)
    assert (ends(parts), ends(parts, "other")) == ([70, 80], [])


def test_messages_of_many_tables_come_back_in_order() -> None:
    spool = LogSpool()
    sequences = [spool.sequence() for _ in range(2_000)]
    for number in range(20_000):
        sequences[number % 2_000].add(b"%d" % number, b"x" * (number % 700))
    assert spool.chunk_bytes < CHUNK_BYTES
    for at in (0, 7, 1_999):
        assert list(sequences[at]) == [b"%d" % n + b"x" * (n % 700) for n in range(at, 20_000, 2_000)]
    assert list(spool.sequence()) == []


def test_the_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sequence = LogSpool().sequence()
    for _ in range(3):
        sequence.add(bytes(CHUNK_BYTES))
    assert list(tmp_path.iterdir()) == []
    assert [len(message) for message in sequence] == [CHUNK_BYTES] * 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_spool.tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StagingUnavailable, match="missing"):
        LogSpool().sequence().add(bytes(CHUNK_BYTES))
