"""Decides from the seed which faults occur and how often, and counts them."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

ZOMBIE = "lost but goes on"
LOST_FILE = "quarantine: file lost"
FAULTS = (
    "kv: not answered",
    "kv: answer lost",
    "sink: not answered",
    "sink: answer lost",
    "sink: commit lands late",
    "sink: done twice",
    "sink: prepared lost",
    "sink: connection lost",
    "sink: deadlock",
    "staging: not writable",
    "staging: pages lost",
    "source: not answered",
    "source: denied",
    "mapper: failed",
    "slice: too large",
    "slice: stopped early",
    "message: twice",
    "message: late",
    "killed: reader",
    "killed: planner",
    "killed: mapper",
    "killed: sink",
    "killed: state",
    "killed: run",
    ZOMBIE,
    "suspended",
    "stop asked",
    "reset",
    "store restored",
    "sink restored",
    LOST_FILE,
    "configuration changed",
    "second run",
)


STATEMENT_FAULTS = ("sink: connection lost", "sink: deadlock")  # drawn for each statement, of which a run has hundreds
WORLD_FAULTS = (
    "source: clock set back",
    "source: committed out of order",
    "source: counter committed out of order",
    "source: counter of a replica refused",
    "source: hour repeated",
    "source: replica behind",
    "source: replica stopped",
    "source: replica that does not say how far it is",
    "source: start of a transaction unknown",
    "source: time taken before the transaction",
    "source: transaction prepared",
    "source: transactions hidden",
    "source: values of a sequence in blocks",
    "source: zone unknown",
    "sink: DDL that commits",
    "sink: compacted",
    "sink: default engine without transactions",
    "sink: laid out anew",
    "sink: rows of a model without versions",
    "sink: second unit of a model",
    "sink: second unit of a table refused",
    "sink: table made by others",
    "sink: table without transactions",
)
"""What the world of a history has by itself: see `databases` and `lakes`."""


@dataclass
class FaultInjector:
    """`rates` has the probability of each kind, per opportunity. Most histories have a few kinds; some have all; some have none."""

    random: Random
    rates: dict[str, float] = field(default_factory=dict)
    fault_counts: Counter[str] = field(default_factory=Counter)
    is_disabled: bool = False

    @classmethod
    def draw(cls, random: Random) -> "FaultInjector":
        share = random.choice([0.0, 0.2, 0.2, 0.5, 0.5, 1.0])
        scale = random.choice([0.02, 0.06, 0.06, 0.15])
        rates = {kind: scale * random.uniform(0.3, 1.5) for kind in FAULTS if random.random() < share}
        for kind in rates.keys() & set(STATEMENT_FAULTS):
            rates[kind] /= 4
        if ZOMBIE in rates:
            rates[ZOMBIE] = 0.5  # of the processes that are lost, not of all calls
        if LOST_FILE in rates:
            rates[LOST_FILE] = 0.5  # of the commits with quarantined rows, which are few
        return cls(random, rates)

    def note(self, kind: str) -> None:
        """Counts a fault that the world of the history has by itself."""
        self.fault_counts[kind] += 1

    def occurs(self, kind: str) -> bool:
        if self.is_disabled or self.random.random() >= self.rates.get(kind, 0.0):
            return False
        self.fault_counts[kind] += 1
        return True
