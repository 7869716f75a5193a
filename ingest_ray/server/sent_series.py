"""The series of units and alerts of `/metrics`, sent by OTLP, too, where telemetry is configured."""

import logging
from collections.abc import Iterator

from ingest_ray import telemetry
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError
from ingest_ray.server.unit_metrics import Family, alert_families, unit_families
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.delivery import AlertState, read_alert_state
from ingest_ray.service.monitoring.freshness import measure_units
from ingest_ray.telemetry.series import Series

log = logging.getLogger(__name__)


def offer_unit_series(installation: Installation) -> None:
    if not tracing.is_on():
        return
    empty: list[Family] = [*unit_families([]), *alert_families(AlertState())]
    names = [(family.name, family.documentation, family.type == "counter") for family in empty]
    telemetry.offer_series(names, lambda: _read(installation))


def _read(installation: Installation) -> Iterator[Series]:
    """Nothing while the catalog is away."""
    try:
        units, alerts = measure_units(installation), read_alert_state(installation)
    except IngestError as error:
        log.warning("the series of units could not be read: %s", error.message)
        return
    for family in (*unit_families(units), *alert_families(alerts)):
        for sample in family.samples:
            yield Series(family.name, sample.value, dict(sample.labels))
