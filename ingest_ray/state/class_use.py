"""What one process does with one endpoint class of a site, and what it tells the other processes of it. Pure; time is an argument."""

from dataclasses import dataclass, field

from ingest_ray.http.aimd import Aimd
from ingest_ray.http.learned_rate import LearnedRate, Outcome
from ingest_ray.state.site_document import SiteDocument, wanted_rate

MEASURED_S = 0.5  # what a process wants is measured over at least so long
MOST_OUTCOMES = 20_000  # while the KV is away; older ones are forgotten


@dataclass
class ClassUse:
    """What this process does with one endpoint class, since the last time it was measured."""

    aimd: Aimd
    outcomes: list[Outcome] = field(default_factory=list)
    sent: int = 0
    is_waiting: bool = False
    measured_at: float = float("-inf")
    used_at: float = float("-inf")
    without_share_since: float = float("-inf")
    looked_at: float = float("-inf")
    """When a share of this class was last asked for."""
    wants: float | None = None

    def note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if len(self.outcomes) > MOST_OUTCOMES:
            del self.outcomes[: MOST_OUTCOMES // 2]

    def is_idle(self, now: float, idle_s: float) -> bool:
        return not self.aimd.in_flight and now - self.used_at >= idle_s

    def measure(self, now: float) -> None:
        """Updates `wants`. A pause says nothing about it."""
        seconds = now - self.measured_at
        if seconds < MEASURED_S or self.aimd.is_paused(now - seconds):
            return
        if self.aimd.share:
            self.wants = wanted_rate(self.sent, seconds, self.is_waiting, self.aimd.own_rate, self.wants)
        self.sent, self.is_waiting, self.measured_at = 0, False, now


@dataclass(frozen=True)
class ClassTurn:
    """One endpoint class in one synchronization. `outcomes`: those that it passes on."""

    name: str
    outcomes: list[Outcome]
    own: LearnedRate
    wants: float | None
    idle_s: float
    is_leaving: bool


@dataclass(frozen=True)
class Merged:
    document: SiteDocument
    shares: dict[str, float]
    elsewhere: int
