"""docs/conformance.md names existing tests for every check; docs/types.md agrees with the declarations of sources and sinks."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bench.type_table import DECLARED, SQLITE, collected, section, statement, types
from ingest_ray.sdk.types import Dataset

ROOT = Path(__file__).parents[2]
CONFORMANCE = (ROOT / "docs" / "conformance.md").read_text()
CHECKS = 71


def rows() -> Iterator[tuple[int, list[str], str]]:
    """Number, tests, remark."""
    for line in CONFORMANCE.splitlines():
        if match := re.match(r"\| (\d+) \|", line):
            _, _, _, tests, remark, _ = re.split(r" ?\| ?", line)
            yield int(match[1]), re.findall(r"`(test_\w+)`", tests), remark


def test_every_check_has_a_row_in_order() -> None:
    assert [number for number, _, _ in rows()] == list(range(1, CHECKS + 1))


def test_every_check_has_a_test_or_says_why_not() -> None:
    for number, tests, remark in rows():
        assert tests or remark, f"check {number} has neither tests nor a reason"


def test_every_test_that_is_named_exists() -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "ingest_ray" / "testing").rglob("*.py")]
    existing = {name for path in files for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    named = {test for _, tests, _ in rows() for test in tests}
    assert named - existing == set()


@contextmanager
def sqlite(path: Path) -> Iterator[Dataset]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement(types(SQLITE)))
        connection.commit()
    yield collected("jdbc.sqlite", {"path": str(path)}, "t")


@pytest.mark.parametrize("source", ["SQLite", *DECLARED])
def test_h65_the_table_of_types_says_what_is_declared(source: str, tmp_path: Path) -> None:
    documented = (ROOT / "docs" / "types.md").read_text()
    with DECLARED[source]() if source in DECLARED else sqlite(tmp_path / "t.db") as dataset:
        text = "\n".join(section(source, dataset))
    assert text in documented, "python -m bench.type_table writes docs/types.md anew"
