"""Checks an `ingest.yaml` as `apply` would, without changing anything, and finds all faults at once."""

from pathlib import Path

from ingest_ray.catalog import run_records
from ingest_ray.config import Config, load_config
from ingest_ray.registry import load, strategy_for
from ingest_ray.registry import load_sink as load_sink_template
from ingest_ray.sdk.errors import ConfigError, EndpointInUse, GateError, IngestError
from ingest_ray.sdk.types import Endpoint, Model
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.displaced_units import has_catalog
from ingest_ray.service.installation import Installation
from ingest_ray.service.packages import missing_packages
from ingest_ray.service.units.policies.unfit_units import UnfitUnit


class ValidationResult(Model):
    """`faults`: one text each, with file and line where they stand in the file. `uncollected`: sources whose units are unknown."""

    file: str
    faults: tuple[str, ...] = ()
    unfit: tuple[UnfitUnit, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    uncollected: tuple[str, ...] = ()


def validate(file: Path) -> ValidationResult:
    """Makes no request to a source or a sink."""
    try:
        config = load_config(file)
    except ConfigError as error:
        return ValidationResult(file=str(file), faults=tuple(error.message.split("\n")))
    faults = [f"{error.message}; {error.hint}" for error in missing_packages(config.settings)]
    faults += [fault for endpoint in config.endpoints if (fault := _missing_library(endpoint, is_sink=False))]
    faults += [fault for sink in config.sinks if (fault := _missing_library(sink, is_sink=True))]
    try:
        applied = apply(config, dry_run=True)
    except (ConfigError, GateError, EndpointInUse) as error:
        return ValidationResult(file=str(file), faults=(*faults, *error.message.split("\n")))
    return ValidationResult(
        file=str(file),
        faults=tuple(faults),
        unfit=applied.unfit,
        warnings=applied.warnings,
        notes=applied.notes,
        uncollected=_uncollected(config),
    )


def _missing_library(endpoint: Endpoint, *, is_sink: bool) -> str | None:
    try:
        if is_sink:
            load_sink_template(endpoint.template)
        else:
            strategy_for(endpoint.template)
            load(endpoint)
    except IngestError as error:
        return f"'{endpoint.endpoint_id}': {error.message}; {error.hint}" if error.hint else error.message
    return None


def _uncollected(config: Config) -> tuple[str, ...]:
    names = [endpoint.endpoint_id for endpoint in config.endpoints]
    if not has_catalog(config.settings):
        return tuple(names)
    installation = Installation(config.settings)
    try:
        with installation.catalog.read() as connection:
            return tuple(name for name in names if not run_records.is_collected(connection, name))
    finally:
        installation.catalog.close()
