"""The report of a campaign: counts of all rounds, and of each source's."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counts:
    rounds: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """Faults that came too late: the run was over, or the process was not found."""
    rows_compared: int = 0
    adopted: set[str] = field(default_factory=set)
    """Files that readers staged in the lake, and commits named."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "rounds": self.rounds,
            "struck": dict(sorted(self.struck.items())),
            "struck_too_late": dict(sorted(self.missed.items())),
            "rows_compared": self.rows_compared,
            "files_adopted": len(self.adopted),
        }


@dataclass
class Report:
    sources: defaultdict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    states: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        return sum(counts.rounds for counts in self.sources.values())

    @property
    def total(self) -> Counts:
        total = Counts()
        for counts in self.sources.values():
            total.rounds += counts.rounds
            total.struck += counts.struck
            total.missed += counts.missed
            total.rows_compared += counts.rows_compared
            total.adopted |= counts.adopted
        return total

    def as_dict(self) -> dict[str, Any]:
        total = self.total.as_dict()
        compared = total.pop("rows_compared")
        return {
            **total,
            "runs": dict(sorted(self.states.items())),
            "rows_compared": compared,
            "violations": self.violations,
            "by_source": {name: counts.as_dict() for name, counts in sorted(self.sources.items())},
        }
