"""The rate of a limit that no header names, counted between refusals. Pure; time is an argument, in seconds.

A refusal tells that the server's bucket is empty. What is served from one refusal to the next is what flowed into it meanwhile, unless it
overflowed: so the count divided by the time is the limit, whatever the size of the bucket. It overflows while the rate is below the limit,
and in pauses that are longer than the bucket: one second is assumed, until runs of different lengths show what flows in.
"""

from dataclasses import dataclass, field

from ingest_ray.http.learned_rate import LearnedLimit, relative

BUCKET_S = 1.0  # https://developer.atlassian.com/cloud/jira/platform/rate-limiting/: burst limits are per second
MARGIN = 0.98
OVERSHOOT = 0.91  # of a refused rate that grew by 0.5 % a second: meanwhile a bucket of a second was drained
MOST_RUNS = 12  # a limit is known after fewer
TRIED = 0.94  # of what was served: tried once before a rate that is still refused is kept
FEW = 3  # requests: a count of fewer says too little for more than a half
LONG_S = 60.0
ROUGH_S = 20.0  # counted for less, an estimate is rough
NEAR = 0.7
NEARER = 1 / 3  # of the way to the rate that was refused: small buckets are refused just above the limit


@dataclass(frozen=True)
class Run:
    """From one refusal to the next: what was served, in how many seconds in which requests waited for the rate, or for `pause_s`."""

    served: float
    seconds: float
    pause_s: float

    @property
    def active_s(self) -> float:
        return max(1e-3, self.seconds - self.pause_s)

    @property
    def flowed_s(self) -> float:
        return max(1e-3, self.seconds - max(0.0, self.pause_s - BUCKET_S))

    @property
    def most(self) -> float:
        return (self.served + 1) / self.flowed_s


def most_of(runs: list[Run]) -> float:
    return (sum(run.served for run in runs) + 1) / sum(run.flowed_s for run in runs)


@dataclass
class LimitEstimate:
    steady_rate: float | None = None
    """The rate before it was raised; None: it was not raised since the last refusal."""
    is_rough: bool = False
    """Whether the last estimate was counted for a short time."""
    _runs: list[Run] = field(default_factory=list)
    _accepted_rate: float | None = None
    """A rate that was not refused for a while, or one as low since."""
    _refused_at: float | None = None
    _served: float = 0.0
    _pause_s: float = 0.0
    _idle_s: float = 0.0
    _is_tried: bool = False
    """Whether a rate below what was served was tried since the runs were begun anew."""

    def learned(self, now: float) -> LearnedLimit:
        return LearnedLimit(
            runs=tuple((run.served, round(run.seconds, 3), round(run.pause_s, 3)) for run in self._runs),
            steady_rate=self.steady_rate,
            is_rough=self.is_rough,
            accepted_rate=self._accepted_rate,
            refused_at=None if self._refused_at is None else relative(self._refused_at, now),
            served=self._served,
            pause_s=self._pause_s,
            idle_s=self._idle_s,
            is_tried=self._is_tried,
        )

    @classmethod
    def of(cls, learned: LearnedLimit, now: float) -> "LimitEstimate":
        return cls(
            learned.steady_rate,
            learned.is_rough,
            [Run(*run) for run in learned.runs],
            learned.accepted_rate,
            None if learned.refused_at is None else now + learned.refused_at,
            learned.served,
            learned.pause_s,
            learned.idle_s,
            learned.is_tried,
        )

    def count_served(self, requests: float = 1.0) -> None:
        """One answer stands for several requests where other processes, whose answers are not known, send the rest."""
        self._served += requests

    def pause(self, seconds: float) -> None:
        """Nothing is sent for so long after the last refusal."""
        self._pause_s = max(self._pause_s, seconds)

    def idle(self, seconds: float) -> None:
        """So long nothing waited for the rate: what flowed into the bucket meanwhile was not used."""
        self._idle_s += seconds

    def raise_rate(self, rate: float) -> None:
        """The rate is about to be raised from this one, which was not refused for a while."""
        if self.steady_rate is None:
            self.steady_rate = self._accepted_rate = rate

    def forget(self) -> None:
        """Begins anew: the last refusal was not about the rate."""
        self._refused_at = self.steady_rate = self._accepted_rate = None
        self._begin_runs([])

    def refuse(self, rate: float, now: float) -> float | None:
        """The rate to go on with, after one was refused; None: nothing is known before the second refusal."""
        found, self.is_rough = None, False
        if self._refused_at is not None:
            found = self._found(
                rate, Run(self._served, max(1e-3, now - self._refused_at - self._idle_s), self._pause_s)
            )
        self._refused_at, self._served, self._pause_s, self.steady_rate = now, 0, 0.0, None
        self._idle_s = 0.0
        return found

    def _found(self, rate: float, run: Run) -> float:
        if not run.served and run.pause_s >= 2 * BUCKET_S:
            return rate  # the pause was too short, whatever the rate
        if self._accepted_rate is not None and rate <= self._accepted_rate / MARGIN:
            self._accepted_rate = None  # the limit has fallen, or only a large bucket bore that rate
        found = self._of_growth(rate, run) if self.steady_rate is not None else self._of_runs(rate, run)
        return max(found, self._accepted_rate or 0.0, rate / 2 if run.served < FEW else 0.0)

    def _of_growth(self, rate: float, run: Run) -> float:
        self._begin_runs([])
        found = max(self._accepted_rate or 0.0, MARGIN * max(run.served / run.seconds, OVERSHOOT * rate))
        return found + NEARER * max(0.0, MARGIN * rate - found)

    def _of_runs(self, rate: float, run: Run) -> float:
        """Of rates that did not change in a run."""
        self._runs.append(run)
        if sum(one.seconds for one in self._runs) > LONG_S:
            self._runs = self._runs[-MOST_RUNS:]
        if run.most < NEAR * most_of(self._runs):  # the limit has fallen
            self._begin_runs([run])
        runs = self._runs
        found = min(rate, run.most, most_of(runs))
        seconds, flowed_s = sum(one.seconds for one in runs), sum(one.flowed_s for one in runs)
        if flowed_s < seconds:
            found = max(sum(one.served for one in runs) / seconds, min(found, inflow(runs)))
        self.is_rough = flowed_s < ROUGH_S and self._accepted_rate is None
        if len(runs) >= MOST_RUNS and seconds > LONG_S and found > NEAR * rate:
            if self._is_tried:  # runs just above a limit look the same
                return rate  # a lower rate did not help: what is refused depends on something else
            self._is_tried, found = True, TRIED * sum(one.served for one in runs) / seconds
        return MARGIN * found

    def _begin_runs(self, runs: list[Run]) -> None:
        self._runs, self._is_tried = runs, False


def inflow(runs: list[Run]) -> float:
    """What was served in a longer run more than in a shorter one, per second: both began with what pauses had saved up."""
    ordered = sorted(runs, key=lambda run: run.active_s)
    first, last = ordered[0], ordered[-1]
    longer_s = last.active_s - first.active_s
    return (last.served - first.served) / longer_s if longer_s >= 0.5 else float("inf")
