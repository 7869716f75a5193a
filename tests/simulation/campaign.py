"""Runs many histories, in one process or in several."""

import logging
import multiprocessing
from collections.abc import Iterable

from tests.simulation.history import History, Result


def play_history(seed: int) -> Result:
    return History(seed).play()


def disable_logging() -> None:
    logging.disable(logging.CRITICAL)


def results(first: int, count: int, processes: int) -> Iterable[Result]:
    seeds = range(first, first + count)
    if processes == 1:
        yield from map(play_history, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes, disable_logging) as pool:
        yield from pool.imap_unordered(play_history, seeds, chunksize=100)
