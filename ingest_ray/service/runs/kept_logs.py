"""What keeps the logs of sources, and whether a unit needs it: of units that were disabled or deleted, and of renamed endpoints, too."""

from collections.abc import Mapping

from ingest_ray.catalog import endpoints, unit_configs
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import LogInventory, capability, find_capability
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Endpoint, Model, RunMode, UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.state.sealed_secrets import open_source


class KeptLogUse(Model):
    """`reason`: why nothing reads it; None where a unit does. `remedy`: what to do then."""

    name: str
    state: str
    retained_bytes: int | None = None
    endpoint_id: str | None = None
    unit_id: str | None = None
    reason: str | None = None
    remedy: str | None = None


class EndpointLogs(Model):
    endpoint_id: str
    logs: tuple[KeptLogUse, ...] = ()


def read_endpoint_logs(installation: Installation, endpoint_id: str) -> EndpointLogs:
    """Asks the source.

    Raises:
        EndpointNotFound, ModeUnsupported, SourceError
    """
    with installation.catalog.read() as connection:
        endpoint = endpoints.source(connection, endpoint_id).endpoint
    capability(strategy_for(endpoint.template), LogInventory)
    return EndpointLogs(endpoint_id=endpoint_id, logs=tuple(kept_logs(installation, endpoint)))


def endpoints_with_logs(installation: Installation) -> list[Endpoint]:
    """The sources that may keep a log for a unit."""
    with installation.catalog.read() as connection:
        known = [entry.endpoint for entry in endpoints.listed(connection) if entry.role == "source"]
    return [endpoint for endpoint in known if _keeps_logs(endpoint)]


def _keeps_logs(endpoint: Endpoint) -> bool:
    try:
        return find_capability(strategy_for(endpoint.template), LogInventory) is not None
    except IngestError:  # its library is not installed here
        return False


def kept_logs(installation: Installation, endpoint: Endpoint) -> list[KeptLogUse]:
    inventory = capability(strategy_for(endpoint.template), LogInventory)
    owners, sharers = _owners(installation, endpoint.template), _sharers(installation, endpoint.template)
    found = inventory.list_logs(open_source(endpoint, installation.settings))
    uses = [
        _shared_use(sharers[log.name]) if log.name in sharers else _use(owners.get(log.name), log.removal)
        for log in found
    ]
    return [
        use.model_copy(update={"name": log.name, "state": log.state, "retained_bytes": log.retained_bytes})
        for use, log in zip(uses, found, strict=True)
    ]


def _sharers(installation: Installation, template: str) -> Mapping[str, list[UnitConfig]]:
    """The units of each endpoint that has units in run mode CHANGES, by the name of the log that they share."""
    shared: dict[str, list[UnitConfig]] = {}
    for endpoint, config in _configured(installation, template):
        inventory = capability(strategy_for(template), LogInventory)
        shared.setdefault(inventory.shared_log_name(endpoint), []).append(config)
    return shared


def _shared_use(configs: list[UnitConfig]) -> KeptLogUse:
    """A unit that has not dropped its log holds the shared one until it is far behind, whether it can run or not."""
    endpoint_id = configs[0].endpoint_id
    use = KeptLogUse(name="", state="", endpoint_id=endpoint_id)
    if any(config.run_mode is RunMode.CHANGES and config.enabled for config in configs):
        return use
    reason = f"no unit of endpoint '{endpoint_id}' that is enabled has run_mode CHANGES"
    remedy = f"enable them, or drop their logs: ingest-ray changes drop {endpoint_id} UNIT"
    return use.model_copy(update={"reason": reason, "remedy": remedy})


def _owners(installation: Installation, template: str) -> Mapping[str, UnitConfig]:
    """The units of all endpoints of the template, by the names of their logs: another endpoint may be of the same database."""
    owners = {}
    for endpoint, config in _configured(installation, template):
        inventory = capability(strategy_for(template), LogInventory)
        owners[inventory.log_name(endpoint, config)] = config
    return owners


def _configured(installation: Installation, template: str) -> list[tuple[Endpoint, UnitConfig]]:
    with installation.catalog.read() as connection:
        known = {entry.endpoint.endpoint_id: entry.endpoint for entry in endpoints.listed(connection)}
        configs = [item.config for item in unit_configs.listed(connection)]
    found = [(known[config.endpoint_id], config) for config in configs if config.endpoint_id in known]
    return [(endpoint, config) for endpoint, config in found if endpoint.template == template]


def _use(owner: UnitConfig | None, removal: str) -> KeptLogUse:
    if owner is None:
        return KeptLogUse(
            name="",
            state="",
            reason="it is of no unit of this installation: the unit was deleted, or its endpoint renamed",
            remedy=f"where no other installation reads it: {removal}",
        )
    use = KeptLogUse(name="", state="", endpoint_id=owner.endpoint_id, unit_id=owner.unit_id)
    drop = f"ingest-ray changes drop {owner.endpoint_id} {owner.unit_id}"
    if owner.run_mode is not RunMode.CHANGES:
        reason = f"unit '{owner.ref}' has run_mode {owner.run_mode.value}"
        return use.model_copy(update={"reason": reason, "remedy": drop})
    if not owner.enabled:
        return use.model_copy(update={"reason": f"unit '{owner.ref}' is disabled", "remedy": f"enable it, or {drop}"})
    return use
