"""Lists the units of an endpoint with what keeps each enabled one from running."""

from ingest_ray.sdk.types import RunFault
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.listing import EndpointUnits, list_units
from ingest_ray.service.units.policies.unfit_units import unfit_units


def list_checked_units(installation: Installation, endpoint_id: str) -> EndpointUnits:
    """Raises `EndpointNotFound`, `StrategyMissing`. Makes no request to the source."""
    listed = list_units(installation, endpoint_id)
    with installation.catalog.read() as connection:
        unfit = unfit_units(connection, installation.settings, endpoint_id)
    faults = {unit.unit_id: RunFault(code=unit.code, message=unit.message, hint=unit.hint) for unit in unfit}
    units = [unit.model_copy(update={"fault": faults.get(unit.unit_id)}) for unit in listed.units]
    return listed.model_copy(update={"units": tuple(units)})
