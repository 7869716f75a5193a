"""Memory of pages is lent again when, and only when, the last array in it is gone."""

import threading

import numpy as np
import pyarrow as pa
import pytest

from ingest_strategies.jdbc.postgres import page_memory
from ingest_strategies.jdbc.postgres.page_memory import KEPT, lend_memory

SIZE = 4096


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    page_memory._kept.clear()


def test_memory_is_lent_again_after_its_last_array() -> None:
    octets, buffer = lend_memory(SIZE)
    address = buffer.address
    assert address % 64 == 0  # https://arrow.apache.org/docs/format/Columnar.html#buffer-alignment-and-padding
    octets[:] = 7
    table = pa.table({"a": pa.Array.from_buffers(pa.int8(), 10, [None, buffer.slice(64, 10)])})
    rows = table.slice(2, 3)
    del buffer, table
    assert lend_memory(SIZE)[1].address != address
    assert rows.column("a").to_pylist() == [7, 7, 7]
    del rows
    assert address in [lend_memory(SIZE)[1].address, lend_memory(SIZE)[1].address]


def test_memory_of_another_size_is_not_lent() -> None:
    address = lend_memory(SIZE)[1].address
    other, _buffer = lend_memory(2 * SIZE)
    assert len(other) == 2 * SIZE
    assert lend_memory(SIZE)[1].address == address


def test_little_is_kept() -> None:
    lent = [lend_memory(SIZE) for _ in range(2 * KEPT)]
    assert not page_memory._kept
    del lent
    assert len(page_memory._kept) == KEPT


def test_memory_of_huge_values_is_not_kept() -> None:
    del (lent := [lend_memory(SIZE, is_usual=False)])[:]
    assert not lent
    assert not page_memory._kept


def test_threads_never_share_a_piece() -> None:
    wrong: list[int] = []

    def use(number: int) -> None:
        for turn in range(300):
            octets, buffer = lend_memory(SIZE)
            octets[:] = number
            array = pa.Array.from_buffers(pa.uint8(), SIZE, [None, buffer])
            del octets, buffer
            if turn % 3 == 0:
                np.frombuffer(bytes(64), np.uint8).sum()  # lets another thread run
            if set(np.unique(array.to_numpy())) != {number}:
                wrong.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
