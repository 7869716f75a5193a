"""References: small values that name one thing in every message, key and log line."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class UnitRef:
    """Names one unit of one endpoint. As text `endpoint:unit`; an endpoint's id has no colon, a unit's id may have some."""

    endpoint_id: str
    unit_id: str

    def __str__(self) -> str:
        return f"{self.endpoint_id}:{self.unit_id}"
