"""The registry of mappers, by the template of a unit's endpoint and the unit's id.

Packages provide mappers through entry points of the group `ingest_ray.cdm_mappers`: the name is a template, the value a mapping
from unit id to mapper. A template's mappers are loaded on the first look-up.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from ingest_ray.cdm.mapping import CdmMapper, MapContext, RowMapper
from ingest_ray.cdm.models import MODELS
from ingest_ray.registry.installed import installed_points
from ingest_ray.registry.shape import HINT, check_methods, load_plugin, title
from ingest_ray.sdk.errors import CdmModeUnavailable, ConfigError, RecordError
from ingest_ray.sdk.types import Dataset, Endpoint

MAPPERS = "ingest_ray.cdm_mappers"

_registered: dict[tuple[str, str], CdmMapper] = {}
_loaded: set[str] = set()


def register_cdm_mapper(template: str, unit_id: str, mapper: CdmMapper) -> None:
    """Registering the same mapper again changes nothing.

    Raises:
        ConfigError: the unit has another mapper already.
    """
    registered = _registered.setdefault((template, unit_id), mapper)
    if registered is not mapper and (registered.version, registered.models) != (mapper.version, mapper.models):
        raise ConfigError(
            f"unit '{unit_id}' of template '{template}' has mapper '{registered.version}' already, '{mapper.version}' is another",
            hint="remove one of the packages that bring them",
        )


def find_mapper(template: str, unit_id: str) -> CdmMapper | None:
    _load(template)
    return _registered.get((template, unit_id))


def mapper_for(template: str, unit_id: str) -> CdmMapper:
    """Raises `CdmModeUnavailable` where none is registered."""
    mapper = find_mapper(template, unit_id)
    if mapper is None:
        known = ", ".join(sorted(unit for name, unit in _registered if name == template)) or "none"
        raise CdmModeUnavailable(
            f"unit '{unit_id}' of template '{template}' has no CDM mapper",
            hint=f"install the package that brings it, or map its columns in ingest.yaml; mappers: {known}",
        )
    return mapper


def apply_cdm(
    endpoint: Endpoint, unit_id: str, batches: Iterable[pa.RecordBatch], *, dataset: Dataset, system: str | None = None
) -> dict[str, list[pa.RecordBatch]]:
    """Maps batches with the unit's mapper; returns the rows by model id.

    Raises:
        CdmModeUnavailable: the unit has no mapper.
        RecordError: a row cannot be mapped; a run would put it into quarantine.
    """
    mapper = mapper_for(endpoint.template, unit_id)

    def refuse(row: int, reason: str, column: str | None) -> None:
        raise RecordError(f"{unit_id}: row {row}: {reason}")

    context = MapContext(endpoint, dataset, system or endpoint.endpoint_id, refuse)
    mapped: dict[str, list[pa.RecordBatch]] = {model: [] for model in mapper.models}
    for page in batches:
        for model, made in mapper.map(page, context).items():
            mapped[model].append(made.batch)
    return mapped


def _load(template: str) -> None:
    if template in _loaded:
        return
    for unit_id, mapper in _installed_mappers(template):
        register_cdm_mapper(template, unit_id, mapper)
    _loaded.add(template)


def _installed_mappers(template: str) -> Iterator[tuple[str, CdmMapper]]:
    for point in installed_points(MAPPERS, template):
        mappers = load_plugin(point)
        if not isinstance(mappers, Mapping):
            kind = type(mappers).__name__
            raise ConfigError(f"{title(point)} is a {kind}: it must be a mapping from unit id to mapper", hint=HINT)
        for unit_id, mapper in mappers.items():
            _check_mapper(mapper, f"{title(point)}: the mapper of unit '{unit_id}'")
            yield unit_id, mapper


def _check_mapper(mapper: Any, owner: str) -> None:
    """Raises `ConfigError` where the object does not have the shape of `CdmMapper`."""
    kind = type(mapper).__name__
    if not isinstance(getattr(mapper, "version", None), str) or not mapper.version:
        raise ConfigError(f"{owner}: {kind} has no version", hint=HINT)
    for name in ("models", "keeps"):
        models = getattr(mapper, name, None)
        if not isinstance(models, tuple):
            raise ConfigError(f"{owner}: {name} of {kind} is no tuple of model ids", hint=HINT)
        unknown = [model_id for model_id in models if model_id not in MODELS]
        if unknown:
            raise ConfigError(f"{owner}: there is no CDM model '{unknown[0]}'", hint=f"there are: {', '.join(MODELS)}")
    check_methods(mapper, {"map": ("page", "context")}, owner)
    if isinstance(mapper, RowMapper):
        check_methods(mapper, {"row": ("row", "context")}, owner)
