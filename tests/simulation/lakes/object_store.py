"""A simulated object store: puts with conditions, answers that get lost, and requests that arrive after their sender gave up."""

import io
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pyarrow as pa

from ingest_ray.files.conditional import ConditionalFiles
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.scheduler import Process, Scheduler


class ObjectStore:
    """`files` and their tags by name. `on_put` is called after each conditional put that changed something."""

    def __init__(self, scheduler: Scheduler, faults: FaultInjector) -> None:
        self.scheduler = scheduler
        self.faults = faults
        self.files: dict[str, bytes] = {}
        self.tags: dict[str, int] = {}
        self.durable: set[str] = set()
        self.times: dict[str, float] = {}
        self.machine = Process("object store")
        self.on_put: Callable[[str, bytes], None] = lambda _name, _content: None

    def store(self, name: str, content: bytes) -> None:
        self.files[name] = content
        self.tags[name] = self.tags.get(name, 0) + 1
        self.times[name] = self.scheduler.now

    def put(self, name: str, content: bytes, mode: Any) -> bool:
        """False where the condition is not met."""
        is_met = name not in self.files if mode == "create" else self.tags.get(name) == mode["e_tag"]
        if is_met:
            self.store(name, content)
            self.durable.add(name)
            self.on_put(name, content)
        return is_met

    def begin_request(self) -> None:
        self.scheduler.pause()
        if self.faults.occurs("sink: connection lost"):
            raise ConnectionResetError("connection reset by peer")

    def put_later(self, name: str, content: bytes, mode: Any, seconds: float) -> None:
        """The request is on its way while its sender takes it for failed."""

        def arrive() -> None:
            self.scheduler.sleep(seconds)
            self.put(name, content, mode)

        self.scheduler.spawn(self.machine, arrive)

    def lose_requests(self) -> None:
        self.scheduler.kill(self.machine)
        self.machine = Process("object store")

    def lose_files(self) -> None:
        """As a power failure does: files that were not made durable are gone."""
        for name in self.files.keys() - self.durable:
            del self.files[name]

    def copy(self) -> dict[str, bytes]:
        return dict(self.files)

    def restore(self, files: dict[str, bytes]) -> None:
        self.files = {}
        for name, content in files.items():
            self.store(name, content)
        self.durable = set(files)


class SimulatedFiles(ConditionalFiles):
    """The product's conditional files over the simulated store; the client sends a put again when its answer was lost."""

    def __init__(self, store: ObjectStore) -> None:
        self._simulated = store
        self._store = store

    def _read_tagged(self, name: str) -> tuple[bytes, Any]:
        self._simulated.begin_request()
        if name not in self._simulated.files:
            raise FileNotFoundError(name)
        return self._simulated.files[name], {"e_tag": self._simulated.tags[name]}

    def _put(self, name: str, content: bytes, mode: Any) -> bool:
        store = self._simulated
        store.begin_request()
        faults = store.faults
        if faults.occurs("sink: commit lands late"):
            store.put_later(name, content, mode, faults.random.choice([0.1, 1.0, 20.0]))
            raise TimeoutError("operation timed out")
        is_done = store.put(name, content, mode)
        store.scheduler.pause()
        if faults.occurs("sink: answer lost"):
            if faults.random.random() < 0.5:
                raise ConnectionResetError("connection reset by peer")
            is_done = store.put(name, content, mode)
        return is_done or store.files.get(name) == content


class _Upload(io.BytesIO):
    def __init__(self, store: ObjectStore, name: str) -> None:
        super().__init__()
        self._target = store
        self._name = name

    def close(self) -> None:
        if not self.closed:
            self._target.store(self._name, self.getvalue())
        super().close()


class SimulatedFolder(TableFolder):
    """The product's folder of a table over the simulated store."""

    def __init__(self, store: ObjectStore) -> None:
        self.uri = "simulated://table"
        self.is_local = True
        self.lock: Any = nullcontext()  # each simulated process has a sink of its own
        self.conditional = SimulatedFiles(store)
        self._simulated = store

    def create(self, name: str) -> pa.NativeFile:
        self._simulated.begin_request()
        return pa.PythonFile(_Upload(self._simulated, name), mode="w")

    def open(self, name: str) -> pa.NativeFile:
        self._simulated.begin_request()
        if name not in self._simulated.files:
            raise FileNotFoundError(name)
        return pa.BufferReader(self._simulated.files[name])

    def make_durable(self, names: Sequence[str]) -> None:
        self._simulated.durable |= set(names)

    def missing(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self._simulated.files]

    def list_times(self, folder: str) -> dict[str, float]:
        self._simulated.begin_request()
        return {
            name: at
            for name, at in self._simulated.times.items()
            if name.startswith(f"{folder}/") and name in self._simulated.files
        }

    def delete_all(self, names: Sequence[str]) -> None:
        self._simulated.begin_request()
        for name in names:
            self._simulated.files.pop(name, None)
