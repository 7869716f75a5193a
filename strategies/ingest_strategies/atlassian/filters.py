"""A unit's filter configuration: a document under the vendor's own name (`jiraFilter`, `confluenceFilter`), or bare."""

from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest_ray.sdk.errors import ConfigError, FilterConflict, FilterUnsupported
from ingest_ray.sdk.types import UnitSpec

Texts = tuple[Annotated[str, Field(min_length=1)], ...]


class UnitFilter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    updatedFrom: datetime | None = None

    @property
    def updated_from_ms(self) -> int | None:
        """A time without a zone is UTC."""
        if self.updatedFrom is None:
            return None
        aware = self.updatedFrom if self.updatedFrom.tzinfo else self.updatedFrom.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1000)


F = TypeVar("F", bound=UnitFilter)


def parse_filter(spec: UnitSpec, kind: type[F], filter_name: str, vendor: str) -> F:
    """Raises `FilterConflict`, `FilterUnsupported`, `ConfigError`; each names the unit and the key."""
    filters = dict(spec.config.filters)
    foreign = [name for name in filters if name.endswith("Filter") and name != filter_name]
    if foreign and filter_name in filters:
        raise FilterConflict(f"unit '{spec.unit_id}' has '{filter_name}' and '{foreign[0]}'", hint="keep one")
    if foreign:
        raise FilterUnsupported(f"unit '{spec.unit_id}' is {vendor}'s and cannot have '{foreign[0]}'")
    document = filters.get(filter_name, filters)
    try:
        return kind.model_validate(document or {})
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in fault["loc"])
        raise ConfigError(f"unit '{spec.unit_id}': filter '{field}': {fault['msg']}") from None
