"""A project as an object: the use cases of the command line with typed results, and rows as Arrow tables."""

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ingest_ray import telemetry
from ingest_ray.config import FILE, Config, load_config, load_settings
from ingest_ray.config.loading import parse_config, settings_without_file
from ingest_ray.engine.reports import ComparisonProgress, PlanPreview
from ingest_ray.engine.run_order import Progress
from ingest_ray.library.display import show_in_notebooks
from ingest_ray.library.landed_dataset import arrow_dataset, ray_dataset
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.copying.copy import CopyProject, CopyRequest, prepare_copy
from ingest_ray.service.endpoints.apply import ApplyResult, apply, write_settings
from ingest_ray.service.endpoints.collect import CollectResult, collect
from ingest_ray.service.endpoints.displaced_units import Displacement
from ingest_ray.service.endpoints.overview import EndpointOverview, list_endpoints
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import execution, verification
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import RunReport
from ingest_ray.service.runs.verification import Verification
from ingest_ray.service.units.landed_rows import LandedRows
from ingest_ray.service.units.listing import EndpointUnits
from ingest_ray.service.units.policies.checked_listing import list_checked_units
from ingest_ray.service.units.preview import preview_table
from ingest_ray.service.units.status import StatusReport, read_status

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads

REQUESTED_BY = "python"
show_in_notebooks()


def open(file: str | Path | None = None, *, home: str | Path | None = None) -> "Project":
    """Opens the project of an `ingest.yaml`, or the one that is kept in `home`; by default `./ingest.yaml`, else `./.ingest-ray`.

    Changes nothing: `Project.apply` registers what the file says.

    Raises:
        ConfigError: the file is wrong, or both `file` and `home` are given.
    """
    if file is not None and home is not None:
        raise ConfigError("file, home: give one of both")
    if home is not None:
        return Project(Installation(settings_without_file(Path(home))))
    if file is None and not Path(FILE).is_file():
        return Project(Installation(load_settings()))
    config = load_config(Path(file or FILE))
    return Project(Installation(config.settings), config)


def build(document: Mapping[str, object], *, folder: str | Path = ".") -> "Project":
    """A project of objects: `document` has the keys of `ingest.yaml`, and relative paths are relative to `folder`.

    Raises:
        ConfigError: names each field that is wrong.
    """
    config = parse_config(document, Path(folder).absolute())
    return Project(Installation(config.settings), config)


class Project:
    """Endpoints, units, their state and their rows. Threads may share it. Every method raises errors of `ingest_ray.sdk.errors`."""

    def __init__(self, installation: Installation, config: Config | None = None) -> None:
        telemetry.configure(installation.settings)
        self._installation = installation
        self._config = config
        self._folder = ""
        self._remove_files: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Project(home={self.home!r})"

    def close(self) -> None:
        """Closes the connections to the catalog; the next call opens them again. Files of `dataset` are removed."""
        self._installation.catalog.close()
        if self._remove_files is not None:
            self._remove_files()
            self._remove_files = None

    @property
    def home(self) -> str:
        return self._installation.settings.home

    def apply(
        self, *, dry_run: bool = False, take_back: bool = False, displaced: Displacement | None = None
    ) -> ApplyResult:
        """Registers what the file or the document says. Applying twice changes nothing. `take_back`: also for units that were saved in the
        console, which the file does not apply to otherwise.
        """
        if self._config is None:
            raise ConfigError("this project has no file to apply", hint="ingest_ray.open('ingest.yaml')")
        return apply(self._config, dry_run=dry_run, take_back=take_back, displaced=displaced)

    def copy(self, source: str, target: str, tables: Sequence[str] = (), *, password: str | None = None) -> RunReport:
        """As `ingest-ray copy`: registers both addresses, collects, and runs the tables."""
        write_settings(self._installation.settings)
        request = CopyRequest(source=source, target=target, tables=tuple(tables), password=password)
        copied: CopyProject = prepare_copy(self._installation, request)
        return self.run(copied.endpoint_id, *(choice.unit_id for choice in copied.choices))

    def endpoints(self) -> list[EndpointOverview]:
        return list_endpoints(self._installation)

    def collect(self, endpoint: str) -> CollectResult:
        """Reads the metadata of an endpoint into the catalog."""
        return collect(self._installation, endpoint)

    def units(self, endpoint: str) -> EndpointUnits:
        """What can be ingested, and what keeps an enabled unit from running."""
        return list_checked_units(self._installation, endpoint)

    def plan(self, endpoint: str, unit: str) -> PlanPreview:
        """What a run would read now. Reads no rows."""
        return execution.plan(self._installation, UnitRef(endpoint, unit))

    def run(
        self,
        endpoint: str,
        *units: str,
        options: RunOptions | None = None,
        parallel: int | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> RunReport:
        """Reads what is new in units of an endpoint, all enabled ones by default, and commits it exactly once.

        A unit that fails is in the report, and does not end the others. `on_progress` is called from other threads. Where
        `is_stopping` returns True, the commits under way are finished, and the next run goes on from there.
        """
        return execution.run(
            self._installation,
            endpoint,
            units,
            options=options,
            requested_by=REQUESTED_BY,
            observe=on_progress,
            is_stopping=is_stopping,
            parallel=parallel,
        )

    async def run_async(
        self, endpoint: str, *units: str, options: RunOptions | None = None, parallel: int | None = None
    ) -> RunReport:
        """`run` in a thread. Cancelling the task stops the run after the commits under way, and waits for that."""
        stopped = False
        run = partial(self.run, endpoint, *units, options=options, parallel=parallel, is_stopping=lambda: stopped)
        task = asyncio.ensure_future(asyncio.to_thread(run))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stopped = True
            await asyncio.wait([task])
            raise

    def status(self, endpoint: str | None = None, unit: str | None = None) -> StatusReport:
        """Where units stand: state, watermark per segment, last run, counts, errors."""
        return read_status(self._installation, endpoint, unit)

    def verify(
        self,
        endpoint: str,
        *units: str,
        rows: bool = False,
        repair: bool = False,
        on_progress: Callable[[UnitRef, ComparisonProgress], None] = lambda unit, progress: None,
    ) -> Verification:
        """Compares units with their sinks: keys, with `rows` values, too; with `repair`, what differs is read again."""
        return verification.verify(
            self._installation,
            endpoint,
            units,
            options=VerifyOptions(with_values=rows, repair=repair),
            requested_by=REQUESTED_BY,
            observe=on_progress,
        )

    def preview(self, endpoint: str, unit: str, rows: int = 10) -> "pa.Table":
        """A few rows, straight from the source, masked as the unit's policy says."""
        return preview_table(self._installation, UnitRef(endpoint, unit), rows)

    def read(self, endpoint: str, unit: str, columns: Sequence[str] | None = None) -> "pa.Table":
        """The rows that have landed, without those that were deleted at the source. The whole table is in memory."""
        return LandedRows(self._installation, UnitRef(endpoint, unit)).table(columns)

    def dataset(self, endpoint: str, unit: str, columns: Sequence[str] | None = None) -> "pads.Dataset":
        """What has landed, as a `pyarrow.dataset`, which reads a copy on disk lazily; the copy stays until the project is closed."""
        rows = LandedRows(self._installation, UnitRef(endpoint, unit))
        return arrow_dataset(rows, list(columns) if columns is not None else None, self._files_folder())

    def _files_folder(self) -> Path:
        """Is removed by `close`, or with the project."""
        if self._remove_files is None:
            self._folder = tempfile.mkdtemp(prefix="ingest-ray-")
            self._remove_files = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return Path(self._folder)

    def to_ray(self, endpoint: str, unit: str, columns: Sequence[str] | None = None) -> Any:
        """What has landed, as a `ray.data.Dataset` on the Ray that this process is connected to."""
        rows = LandedRows(self._installation, UnitRef(endpoint, unit))
        return ray_dataset(rows, list(columns) if columns is not None else None)

    def batches(self, endpoint: str, unit: str, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """As `read`, batch by batch."""
        yield from LandedRows(self._installation, UnitRef(endpoint, unit)).batches(columns)
