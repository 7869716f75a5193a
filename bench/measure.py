"""Runs a command as its users do and measures wall time, CPU and memory over its whole process tree."""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_S = 0.1


@dataclass(frozen=True)
class Measured:
    """Seconds of wall time; MiB of proportional memory: the largest single process, and all processes together."""

    wall_s: float
    cpu_s: float
    largest_mib: float
    together_mib: float
    out: bytes


def measured(command: Sequence[str], folder: Path) -> Measured:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    sampler = Sampler(process.pid)
    sampler.start()
    out, _ = process.communicate()
    wall_s = time.monotonic() - started
    sampler.ended.set()
    sampler.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {out.decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The CPU of processes that were waited for is exact; daemons (Ray's) are only in the samples.
    return Measured(wall_s, max(waited_s, sampler.cpu_s), sampler.largest / 2**20, sampler.together / 2**20, out)


class Sampler(threading.Thread):
    """Samples a process tree ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.largest = 0
        self.together = 0
        self._cpu: dict[int, float] = {}
        self._pid = pid

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu.values())

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_S):
            sizes = [self._sample(process) for process in self._tree()]
            self.largest = max([self.largest, *sizes])
            self.together = max(self.together, sum(sizes))

    def _tree(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self._pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _sample(self, process: psutil.Process) -> int:
        """PSS: memory that several processes share (Ray's object store, mapped pages) is counted once."""
        try:
            times = process.cpu_times()
            self._cpu[process.pid] = times.user + times.system
            with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as rollup:
                return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
        except (psutil.Error, OSError, StopIteration):
            return 0


def cores() -> int:
    return os.cpu_count() or 1
