"""One value of a series at the time of a look."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Series:
    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)
