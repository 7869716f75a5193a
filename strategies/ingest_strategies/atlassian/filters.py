"""What a unit's configuration keeps: a document under the vendor's own name (`jiraFilter`, `confluenceFilter`), or bare."""

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


def parsed_filter(spec: UnitSpec, kind: type[F], own: str, vendor: str) -> F:
    """Raises `FilterConflict`, `FilterUnsupported`, `ConfigError`; each names the unit and the key."""
    given = dict(spec.config.filters)
    others = [name for name in given if name.endswith("Filter") and name != own]
    if others and own in given:
        raise FilterConflict(f"unit '{spec.unit_id}' has '{own}' and '{others[0]}'", hint="keep one")
    if others:
        raise FilterUnsupported(f"unit '{spec.unit_id}' is {vendor}'s and cannot have '{others[0]}'")
    inner = given.get(own, given)
    try:
        return kind.model_validate(inner or {})
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ConfigError(f"unit '{spec.unit_id}': filter '{place}': {fault['msg']}") from None
