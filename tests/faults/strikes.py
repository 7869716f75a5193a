"""What may happen to a run that is at work. Each says whether it found what it wanted to strike."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

import psutil

from ingest_ray.state.lease import TTL_S
from tests.faults.place import Place, Wrong, code_of, document_of, kill_tree

Strike = Callable[[Place, "subprocess.Popen[str]", Random], bool]
FIND_S = 90.0  # on a busy machine the processes of a run on a cluster appear late


@dataclass(frozen=True)
class Killed:
    """SIGKILL of one process of a run on a cluster, by the title that it shows, within so long of its appearance."""

    title: str
    within_s: float

    def __call__(self, place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
        deadline = time.monotonic() + FIND_S
        while time.monotonic() < deadline and run.poll() is None:
            for process in below(run):
                with contextlib.suppress(psutil.Error):
                    if self.title in " ".join(process.cmdline()):
                        time.sleep(random.uniform(0.0, self.within_s))
                        process.kill()
                        return True
            time.sleep(0.02)
        return False


def below(run: "subprocess.Popen[str]") -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(run.pid).children(recursive=True)
    return []


def whole_tree(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    kill_tree(run.pid)
    return is_alive


def driver(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    """Only the process that a person started: what it leaves behind has to end by itself."""
    is_alive = run.poll() is None
    run.kill()
    return is_alive


def terminated(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    run.terminate()
    return is_alive


def source_killed(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    place.source.kill()
    time.sleep(random.uniform(0.0, 2.0))
    place.source.start()
    return is_alive


def redis_killed(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    place.kill_redis()
    time.sleep(random.uniform(0.0, 3.0))
    place.redis.start()
    return is_alive


def disk_full(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    place.fill_disk()
    time.sleep(random.uniform(0.5, 4.0))
    place.free_disk()
    return is_alive


def staging_read_only(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    place.make_read_only()
    time.sleep(random.uniform(0.5, 4.0))
    place.mend()
    return is_alive


def source_cut(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    for _ in range(random.randint(1, 5)):
        place.source.door.cut()
        time.sleep(random.uniform(0.0, 0.5))
    return is_alive


def state_cut(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    for _ in range(random.randint(1, 5)):
        place.state_door.cut()
        time.sleep(random.uniform(0.0, 0.5))
    return is_alive


def all_slow(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    place.source.door.delay_s, place.state_door.delay_s = 0.4, 0.2
    time.sleep(random.uniform(1.0, 4.0))
    place.source.door.delay_s = place.state_door.delay_s = 0.0
    return is_alive


def second_run(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    document_of(place.start_run(), "a second run")
    return is_alive


def suspended(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    """Stopped past its lease; another run takes over and ends; then the first one wakes up."""
    is_alive = run.poll() is None
    kill_tree(run.pid, signal.SIGSTOP)
    time.sleep(TTL_S + 3)
    other = place.start_run()
    if random.random() < 0.5:
        with contextlib.suppress(subprocess.TimeoutExpired):
            other.wait(TTL_S)
    kill_tree(run.pid, signal.SIGCONT)
    document_of(other, "the run that took over")
    return is_alive


def reset(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    """While a run holds the unit. Its source gives no answer meanwhile, so that it is not over before the command has started."""
    if not place.is_leased(run):
        return False
    with place.source.door.held():
        if not place.is_leased(run):
            return False
        answer = place.reset()
        if run.poll() is not None:
            return False
    if code_of(answer) != "E_RUN_ACTIVE":
        raise Wrong(f"a reset while a run holds the unit was answered with {answer}")
    return True


def applied_twice(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    """Two people apply a changed file at once, while a run is at work; slowly, so that it is not over before."""
    place.source.door.delay_s = 1.0
    place.write_file(inline=True, lookback_s=place.source.lookback_s + random.randint(1, 9))
    for one in [place.start("apply") for _ in range(2)]:
        if code_of(answer := document_of(one, "apply")):
            raise Wrong(f"one of two that apply the same file is refused: {answer}")
    is_alive = run.poll() is None
    place.source.door.delay_s = 0.0
    return is_alive


def strikes_on(place: Place, *, is_inline: bool) -> Mapping[str, Strike]:
    source = {f"kill -9: {place.source.server}": source_killed}
    if is_inline:
        return INLINE | source
    return (
        CLUSTER
        | source
        | (MAPPERS if place.source.has_mappers else {})
        | (THROTTLE if place.source.has_throttle else {})
    )


INLINE: dict[str, Strike] = {
    "kill -9: run": whole_tree,
    "SIGTERM": terminated,
    "kill -9: Redis": redis_killed,
    "disk full": disk_full,
    "staging read-only": staging_read_only,
    "source connections cut": source_cut,
    "state connections cut": state_cut,
    "slow connections": all_slow,
    "second run": second_run,
    "reset": reset,
    "applied twice": applied_twice,
}
CLUSTER: dict[str, Strike] = {
    "kill -9: whole tree": whole_tree,
    "kill -9: driver": driver,
    "kill -9: reader": Killed("ray::read", 0.5),
    "kill -9: planner": Killed("ray::PlannerActor", 3.0),
    "kill -9: sink": Killed("ray::SinkActor", 3.0),
    "kill -9: state": Killed("ray::StateActor", 3.0),
    "kill -9: raylet": Killed("raylet/raylet", 0.5),
    "kill -9: GCS": Killed("gcs_server", 0.5),
    "kill -9: Redis": redis_killed,
    "disk full": disk_full,
    "source connections cut": source_cut,
    "state connections cut": state_cut,
}
MAPPERS: dict[str, Strike] = {"kill -9: mapper": Killed("ray::MapperActor", 5.0)}
THROTTLE: dict[str, Strike] = {"kill -9: throttle": Killed("ray::ThrottleActor", 5.0)}
RARE: dict[str, Strike] = {"suspended past the lease": suspended}
# They are there long before a run is at work: struck at once, they would only ever hit one that still connects.
HEADS = ("kill -9: raylet", "kill -9: GCS")
