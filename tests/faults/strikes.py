"""What may happen to a run that is at work. Each says whether it found what it wanted to strike."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from random import Random

import psutil

from ingest_ray.state.lease import TTL_S
from tests.faults.place import UNIT, Place, kill_tree

Strike = Callable[[Place, "subprocess.Popen[str]", Random], bool]
FIND_S = 90.0  # on a busy machine the processes of a run on a cluster appear late


def killed(title: str) -> Strike:
    """SIGKILL of one process of a run on a cluster, by the title that it shows."""

    def strike(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
        deadline = time.monotonic() + FIND_S
        while time.monotonic() < deadline and run.poll() is None:
            for process in below(run):
                with contextlib.suppress(psutil.Error):
                    if title in " ".join(process.cmdline()):
                        time.sleep(random.uniform(0.0, 0.5))
                        process.kill()
                        return True
            time.sleep(0.02)
        return False

    return strike


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


def postgres_killed(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    place.kill_postgres()
    time.sleep(random.uniform(0.0, 2.0))
    place.start_postgres()
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
        place.source_door.cut()
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
    place.source_door.delay_s, place.state_door.delay_s = 0.05, 0.2
    time.sleep(random.uniform(1.0, 4.0))
    place.source_door.delay_s = place.state_door.delay_s = 0.0
    return is_alive


def second_run(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    is_alive = run.poll() is None
    place.start("run", "shop").communicate(timeout=240)
    return is_alive


def suspended(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    """Stopped past its lease; another run takes over and ends; then the first one wakes up."""
    is_alive = run.poll() is None
    kill_tree(run.pid, signal.SIGSTOP)
    time.sleep(TTL_S + 3)
    other = place.start("run", "shop")
    if random.random() < 0.5:
        other.communicate(timeout=240)
    kill_tree(run.pid, signal.SIGCONT)
    other.communicate(timeout=240)
    return is_alive


def reset(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    answer = place.call("reset", "shop", UNIT, "--yes")
    return (answer.get("error") or {}).get("code") == "E_RUN_ACTIVE"


def applied_twice(place: Place, run: "subprocess.Popen[str]", random: Random) -> bool:
    """Two people apply a changed file at once, while a run is at work."""
    is_alive = run.poll() is None
    file = place.folder / "ingest.yaml"
    file.write_text(file.read_text().replace("lookback: 0s", f"lookback: {random.randint(1, 9)}s"))
    both = [place.start("apply") for _ in range(2)]
    for one in both:
        out, err = one.communicate(timeout=240)
        assert one.returncode == 0, out + err
    return is_alive


INLINE: dict[str, Strike] = {
    "kill -9: run": whole_tree,
    "SIGTERM": terminated,
    "kill -9: PostgreSQL": postgres_killed,
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
    "kill -9: reader": killed("ray::read"),
    "kill -9: planner": killed("ray::PlannerActor"),
    "kill -9: sink": killed("ray::SinkActor"),
    "kill -9: state": killed("ray::StateActor"),
    "kill -9: raylet": killed("raylet/raylet"),
    "kill -9: GCS": killed("gcs_server"),
    "kill -9: PostgreSQL": postgres_killed,
    "kill -9: Redis": redis_killed,
    "disk full": disk_full,
    "source connections cut": source_cut,
    "state connections cut": state_cut,
}
RARE: dict[str, Strike] = {"suspended past the lease": suspended}
