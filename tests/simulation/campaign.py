"""Runs many histories, in one process or in several."""

import logging
import multiprocessing
from collections.abc import Iterable
from functools import partial

from tests.simulation.history import History, Result


def play_history(seed: int, world: str | None = None) -> Result:
    return History(seed, world).play()


def disable_logging() -> None:
    logging.disable(logging.CRITICAL)


def results(first: int, count: int, processes: int, world: str | None = None) -> Iterable[Result]:
    seeds, play = range(first, first + count), partial(play_history, world=world)
    if processes == 1:
        yield from map(play, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes, disable_logging) as pool:
        yield from pool.imap_unordered(play, seeds, chunksize=100)
