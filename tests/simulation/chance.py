"""Which faults strike, how often, and how many did: all from the seed."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

ZOMBIE = "lost but goes on"
KINDS = (
    "kv: not answered",
    "kv: answer lost",
    "sink: not answered",
    "sink: answer lost",
    "sink: commit lands late",
    "sink: done twice",
    "sink: prepared lost",
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
    "configuration changed",
    "second run",
)


@dataclass
class Chance:
    """`rates`: of each kind, per opportunity. Most histories have a few kinds; some have all; some have none."""

    random: Random
    rates: dict[str, float] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)
    is_quiet: bool = False

    @classmethod
    def of(cls, random: Random) -> "Chance":
        share = random.choice([0.0, 0.2, 0.2, 0.5, 0.5, 1.0])
        scale = random.choice([0.02, 0.06, 0.06, 0.15])
        rates = {kind: scale * random.uniform(0.3, 1.5) for kind in KINDS if random.random() < share}
        if ZOMBIE in rates:
            rates[ZOMBIE] = 0.5  # of what is lost, not of what is done
        return cls(random, rates)

    def strikes(self, kind: str) -> bool:
        if self.is_quiet or self.random.random() >= self.rates.get(kind, 0.0):
            return False
        self.struck[kind] += 1
        return True
