"""Lists the units of an endpoint with what a run of each enabled one would do, or what keeps it from running."""

from ingest_ray.catalog import unit_configs
from ingest_ray.sdk.types import RunFault, UnitConfig, UnitSpec
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.listing import EndpointUnits, UnitView, list_units
from ingest_ray.service.units.policies.cursor_choice import choice_text
from ingest_ray.service.units.policies.unfit_units import UnfitUnit, checked_units


def list_checked_units(installation: Installation, endpoint_id: str) -> EndpointUnits:
    """Raises `EndpointNotFound`, `StrategyMissing`. Makes no request to the source."""
    listed = list_units(installation, endpoint_id)
    with installation.catalog.read() as connection:
        configured = {item.config.unit_id: item.config for item in unit_configs.listed(connection, endpoint_id)}
        checked = {found.unit_id: found for found in checked_units(connection, installation.settings, endpoint_id)}
    units = [_as_run(unit, configured.get(unit.unit_id), checked.get(unit.unit_id)) for unit in listed.units]
    return listed.model_copy(update={"units": tuple(units)})


def _as_run(unit: UnitView, config: UnitConfig | None, found: UnfitUnit | UnitSpec | None) -> UnitView:
    """With what a run would do, which is not always what is configured."""
    if isinstance(found, UnfitUnit):
        return unit.model_copy(update={"fault": RunFault(code=found.code, message=found.message, hint=found.hint)})
    if found is None or config is None:
        return unit
    update = {
        "effective_run_mode": found.config.run_mode,
        "write": found.write_mode,
        "choice": choice_text(config, found),
        "cursor": found.policy.cursor or unit.cursor,
    }
    return unit.model_copy(update=update)
