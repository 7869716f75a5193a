"""The product's sink of plain Parquet files as the sink of a history, over a simulated object store. Judged at every manifest and pointer."""

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.types import Layout, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.parquet_tables.data_files import write_empty
from ingest_ray.sinks.parquet_tables.manifest import (
    MANIFESTS,
    POINTER,
    Manifest,
    manifest_name,
    next_manifest,
    version_of,
)
from ingest_ray.sinks.parquet_tables.sink import ParquetSink
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder
from ingest_ray.sinks.parquet_tables.versions import make_version
from ingest_ray.sinks.parquet_template import ParquetConfig
from tests.simulation.invariants import InvariantChecker
from tests.simulation.lakes.object_store import ObjectStore, SimulatedFolder
from tests.simulation.simulated_staging import Rows

LAYOUTS = (None, (), ("bucket(3, id)",), ("truncate(8, id)",), ("bucket(2, id)", "at"))
MOST_COLUMNS = 3
MOST_COPIES = 8


class SimulatedParquetSink(ParquetSink):
    def __init__(self, store: ObjectStore) -> None:
        super().__init__(ParquetConfig(uri="/simulated"))
        self._simulated = SimulatedFolder(store)

    def _folder(self, target: Target) -> TableFolder:
        return self._simulated


@dataclass(frozen=True)
class RunView:
    """What a run has at its start: its sink, the layout of its configuration, the columns of its source."""

    sink: SimulatedParquetSink
    target: Target
    schema: pa.Schema


@dataclass
class ParquetSinkServer:
    """`layout` and `columns`: of the runs that begin from now on. `columns`: how many more the source has than at first."""

    write: str
    checker: InvariantChecker
    store: ObjectStore
    is_mapped: bool = False
    refused: frozenset[int] = frozenset()
    layout: Layout | None = None
    columns: int = 0
    shown: Counter[tuple[int, int]] = field(default_factory=Counter)
    newest: dict[int, int] = field(default_factory=dict)
    sequence: int = 0
    version: int = 0
    copies: list[dict[str, bytes]] = field(default_factory=list)
    """What the store was after each of the last manifests."""
    _views: dict[str, RunView] = field(default_factory=dict)
    _rows: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _is_emptied: bool = False

    def __post_init__(self) -> None:
        self.store.on_put = self._check_put

    def view(self, run_id: str) -> RunView:
        if run_id not in self._views:
            target = Target(
                sink_id="s",
                endpoint_id="e",
                unit_id="u",
                app_id="ours",
                write=WriteMode(self.write),
                key=("id",),
                run_id=run_id,
                layout=self.layout,
            )
            schema = pa.schema(
                [(name, pa.int64()) for name in ("id", "at", *(f"c{number}" for number in range(self.columns)))]
            )
            self._views[run_id] = RunView(SimulatedParquetSink(self.store), target, schema)
        return self._views[run_id]

    # --- as a sink

    def read_progress(self, run_id: str) -> SinkProgress:
        return self.view(run_id).sink.read_progress(self.view(run_id).target)

    def open(self, run_id: str, epoch: int) -> int:
        view = self.view(run_id)
        return view.sink.open(view.target, view.schema, epoch)

    def is_empty(self, run_id: str) -> bool:
        return self.view(run_id).sink.is_empty(self.view(run_id).target)

    def prepare(self, run_id: str, piece: Slice, uri: str, rows: Rows) -> Prepared:
        view = self.view(run_id)
        batch = pa.RecordBatch.from_pylist(
            [{name: key if name == "id" else at for name in view.schema.names} for key, at in rows], schema=view.schema
        )
        return view.sink.prepare(view.target, piece, view.schema, [batch])

    def commit(self, run_id: str, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        view = self.view(run_id)
        return view.sink.commit(view.target, view.schema, epoch, sequence, group)

    def abort(self, group: Sequence[Prepared]) -> None:
        sink = SimulatedParquetSink(self.store)
        sink._folders["simulated://table"] = sink._simulated
        sink.abort(group)

    # --- what happens to the store

    def crash(self) -> None:
        self.store.lose_files()

    def truncate(self) -> None:
        """A version without rows, as an operator makes it; the number stays."""
        folder = SimulatedFolder(self.store)
        before = self.newest_manifest()
        if before is not None:
            self._is_emptied = True
            make_version(folder, next_manifest(before, files=[write_empty(folder, before.schema)]))
            self._is_emptied = False

    def copy(self) -> dict[str, bytes]:
        return self.store.copy()

    def restore(self, copy: dict[str, bytes]) -> None:
        self.store.restore(copy)
        manifest = self.newest_manifest()
        self.version = 0 if POINTER not in copy else version_of(copy[POINTER])
        self.sequence = manifest.commit_of("ours").sequence if manifest is not None else 0
        self.shown = self._rows_of(file.path for file in manifest.files) if manifest is not None else Counter()

    def widen(self) -> None:
        """The source gets another column."""
        self.columns = min(self.columns + 1, MOST_COLUMNS)

    # --- the judge

    def has_row(self, key: int, at: int) -> bool:
        return self.shown[key, at] > 0

    def newest_manifest(self) -> Manifest | None:
        names = [name for name in self.store.files if name.startswith(f"{MANIFESTS}/")]
        return Manifest.model_validate_json(self.store.files[max(names)]) if names else None

    def check_readers(self) -> None:
        """After a run that succeeded: who reads by the pointer sees every row."""
        pointer = self.store.files.get(POINTER)
        files = self._manifest(version_of(pointer)).files if pointer is not None else ()
        if self._rows_of(file.path for file in files) != self.shown:
            self.checker.report_violation("readers do not see the rows of the newest version")

    def _check_put(self, name: str, content: bytes) -> None:
        if name == POINTER:
            self._check_pointer(content)
        elif name.startswith(f"{MANIFESTS}/"):
            self._check_manifest(Manifest.model_validate_json(content))

    def _check_pointer(self, content: bytes) -> None:
        """It names a version that is there, and moves only forward."""
        version = version_of(content)
        if version < self.version:
            self.checker.report_violation(f"the pointer moves back from version {self.version} to {version}")
        if manifest_name(version) not in self.store.files:
            self.checker.report_violation(f"the pointer names version {version}, which does not exist")
        self.version = version

    def _check_manifest(self, manifest: Manifest) -> None:
        """Numbers follow each other, no row is there twice, and nothing but a numbered commit changes rows."""
        sequence, before = manifest.commit_of("ours").sequence, self.shown
        lost = [file.path for file in manifest.files if file.path not in self.store.files]
        if lost:
            self.checker.report_violation(f"version {manifest.version} names files that do not exist: {lost}")
        rows = self._rows_of(file.path for file in manifest.files)
        if sequence != self.sequence:
            self.checker.check_commit(self.sequence, sequence)
        elif rows != before and not self._is_emptied:
            self.checker.report_violation(f"version {manifest.version} has other rows, and no number of its own")
        self.sequence, self.shown = sequence, rows
        self.copies = [*self.copies[-MOST_COPIES:], self.copy()]
        self.checker.check_duplicates(rows, rows)

    def _manifest(self, version: int) -> Manifest:
        return Manifest.model_validate_json(self.store.files[manifest_name(version)])

    def _rows_of(self, paths: Iterable[str]) -> Counter[tuple[int, int]]:
        found: Counter[tuple[int, int]] = Counter()
        for path in paths:
            if path not in self._rows:
                with pq.ParquetFile(io.BytesIO(self.store.files[path])) as file:
                    table = file.read(columns=["id", "at"], use_threads=False)
                self._rows[path] = list(zip(table["id"].to_pylist(), table["at"].to_pylist(), strict=True))
            found.update(self._rows[path])
        return found
