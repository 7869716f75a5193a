"""The faults that may hit a run at work. Each injection returns whether the run, or the process to kill, was still alive."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

import psutil

from ingest_ray.state.lease import TTL_S
from tests.faults.installation_under_test import InstallationUnderTest, WrongAnswer, code_of, document_of, kill_tree
from tests.forks import ForkedProcess

Injection = Callable[[InstallationUnderTest, ForkedProcess, Random], bool]
FIND_S = 90.0  # on a busy machine the processes of a run on a cluster appear late


@dataclass(frozen=True)
class KillProcess:
    """Kills one process of a run on a cluster with SIGKILL, found by its title, within `within_s` of its appearance."""

    title: str
    within_s: float

    def __call__(self, installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
        deadline = time.monotonic() + FIND_S
        while time.monotonic() < deadline and run.poll() is None:
            for process in descendants(run):
                with contextlib.suppress(psutil.Error):
                    if self.title in " ".join(process.cmdline()):
                        time.sleep(random.uniform(0.0, self.within_s))
                        process.kill()
                        return True
            time.sleep(0.02)
        return False


def descendants(run: ForkedProcess) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(run.pid).children(recursive=True)
    return []


def kill_run_tree(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    kill_tree(run.pid)
    return is_alive


def kill_driver(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    """Kills only the process that the command started: its other processes have to end by themselves."""
    is_alive = run.poll() is None
    run.kill()
    return is_alive


def terminate_run(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    run.terminate()
    return is_alive


def kill_source(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    installation.source.kill()
    time.sleep(random.uniform(0.0, 2.0))
    installation.source.start()
    return is_alive


def kill_redis_for_a_while(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    installation.kill_redis()
    time.sleep(random.uniform(0.0, 3.0))
    installation.redis.start()
    return is_alive


def fill_disk_for_a_while(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    installation.fill_disk()
    time.sleep(random.uniform(0.5, 4.0))
    installation.free_disk()
    return is_alive


def make_staging_read_only(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    installation.make_read_only()
    time.sleep(random.uniform(0.5, 4.0))
    installation.repair()
    return is_alive


def cut_source_connections(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    for _ in range(random.randint(1, 5)):
        installation.source.proxy.cut()
        time.sleep(random.uniform(0.0, 0.5))
    return is_alive


def cut_state_connections(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    for _ in range(random.randint(1, 5)):
        installation.state_proxy.cut()
        time.sleep(random.uniform(0.0, 0.5))
    return is_alive


def slow_all_connections(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    installation.source.proxy.delay_s, installation.state_proxy.delay_s = 0.4, 0.2
    time.sleep(random.uniform(1.0, 4.0))
    installation.source.proxy.delay_s = installation.state_proxy.delay_s = 0.0
    return is_alive


def start_second_run(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    is_alive = run.poll() is None
    document_of(installation.start_run(), "a second run")
    return is_alive


def suspend_run(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    """Stops the run past its lease; another run takes over and ends; then the first one continues."""
    is_alive = run.poll() is None
    kill_tree(run.pid, signal.SIGSTOP)
    time.sleep(TTL_S + 3)
    other = installation.start_run()
    if random.random() < 0.5:
        with contextlib.suppress(subprocess.TimeoutExpired):
            other.wait(TTL_S)
    kill_tree(run.pid, signal.SIGCONT)
    document_of(other, "the run that took over")
    return is_alive


def reset(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    """Resets the unit while a run holds it. The source gives no answer meanwhile, so that the run does not end before the command starts."""
    if not installation.is_leased(run):
        return False
    with installation.source.proxy.held():
        if not installation.is_leased(run):
            return False
        answer = installation.reset()
        if run.poll() is not None:
            return False
    if code_of(answer) != "E_RUN_ACTIVE":
        raise WrongAnswer(f"a reset while a run holds the unit was answered with {answer}")
    return True


def apply_twice(installation: InstallationUnderTest, run: ForkedProcess, random: Random) -> bool:
    """Applies a changed file twice at once, while a run is at work; slow answers keep the run from ending before."""
    installation.source.proxy.delay_s = 1.0
    installation.write_file(inline=True, lookback_s=installation.source.lookback_s + random.randint(1, 9))
    for one in [installation.start("apply") for _ in range(2)]:
        if code_of(answer := document_of(one, "apply")):
            raise WrongAnswer(f"one of two concurrent applies of the same file is refused: {answer}")
    is_alive = run.poll() is None
    installation.source.proxy.delay_s = 0.0
    installation.write_file(inline=True)
    installation.call("apply")
    return is_alive


def injections_for(installation: InstallationUnderTest, *, is_inline: bool) -> Mapping[str, Injection]:
    source = {f"kill -9: {installation.source.server}": kill_source}
    if is_inline:
        return INLINE | source
    return (
        CLUSTER
        | source
        | (MAPPERS if installation.source.has_mappers else {})
        | (THROTTLE if installation.source.has_throttle else {})
    )


INLINE: dict[str, Injection] = {
    "kill -9: run": kill_run_tree,
    "SIGTERM": terminate_run,
    "kill -9: Redis": kill_redis_for_a_while,
    "disk full": fill_disk_for_a_while,
    "staging read-only": make_staging_read_only,
    "source connections cut": cut_source_connections,
    "state connections cut": cut_state_connections,
    "slow connections": slow_all_connections,
    "second run": start_second_run,
    "reset": reset,
    "applied twice": apply_twice,
}
CLUSTER: dict[str, Injection] = {
    "kill -9: whole tree": kill_run_tree,
    "kill -9: driver": kill_driver,
    "kill -9: reader": KillProcess("ray::read", 0.5),
    "kill -9: planner, state, sink": KillProcess("ray::control:", 3.0),
    "kill -9: sink": KillProcess("ray::SinkActor", 3.0),
    "kill -9: raylet": KillProcess("raylet/raylet", 0.5),
    "kill -9: GCS": KillProcess("gcs_server", 0.5),
    "kill -9: Redis": kill_redis_for_a_while,
    "disk full": fill_disk_for_a_while,
    "source connections cut": cut_source_connections,
    "state connections cut": cut_state_connections,
}
OF_ACTORS = ("kill -9: planner, state, sink", "kill -9: sink")  # where no actor has them, the driver does
MAPPERS: dict[str, Injection] = {"kill -9: mapper": KillProcess("ray::MapperActor", 5.0)}
THROTTLE: dict[str, Injection] = {"kill -9: throttle": KillProcess("ray::ThrottleActor", 5.0)}
RARE: dict[str, Injection] = {"suspended past the lease": suspend_run}
# These processes exist long before a run is at work: killed at once, they would only ever hit a run that still connects.
CLUSTER_HEADS = ("kill -9: raylet", "kill -9: GCS")
