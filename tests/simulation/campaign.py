"""Many histories, over some processes."""

import logging
import multiprocessing
from collections.abc import Iterable

from tests.simulation.world import Result, World


def played(seed: int) -> Result:
    return World(seed).play()


def silent() -> None:
    logging.disable(logging.CRITICAL)


def results(first: int, count: int, processes: int) -> Iterable[Result]:
    seeds = range(first, first + count)
    if processes == 1:
        yield from map(played, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes, silent) as pool:
        yield from pool.imap_unordered(played, seeds, chunksize=100)
