"""Maps the kept staging of a unit again."""

from collections.abc import Callable

from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import execution
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import RunReport


def remap(
    installation: Installation,
    unit: UnitRef,
    *,
    observe: Callable[[Progress], None] = lambda _: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Raises the gate's errors, and `CdmModeUnsupported` for a unit that is not in CDM mode. Makes no request to the source."""
    return execution.run(
        installation,
        unit.endpoint_id,
        [unit.unit_id],
        options=RunOptions(task="remap"),
        observe=observe,
        is_stopping=is_stopping,
    )
