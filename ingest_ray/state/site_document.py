"""What the processes of an installation know of a site's budget together, and how they divide it. Pure; time is an argument.

A process holds a share of the rate of each endpoint class that it uses. It takes no more than the others leave: a process that gets less
gives up the rest first, and only then another one takes it. So the shares of a class never add up to more than the whole. The share of a
process that ended, or that has not renewed it for `HOLD_S`, is free. What was learnt of a limit is kept for `KEPT_S`.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from ingest_ray.http.aimd import Aimd, Bounds
from ingest_ray.http.learned_rate import LearnedRate, Outcome, absolute, relative
from ingest_ray.http.quota import Quota
from ingest_ray.sdk.types import Model
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import is_gone

HOLD_S = 10.0
KEPT_S = 1800.0
MOST_HOLDERS = 48  # with five classes each, 25 KiB of the document's 64; more processes wait until one ends
MOST_CLASSES = 32  # of 0.8 KiB
LEAST_RATE = 1.0  # requests per second that a process with little to do may begin with
LEAST_SHARE = 0.002  # less is none: it may be the rest of a subtraction
MORE = 1.5  # times the requests of a process with little to do are left to it


class ClassShare(Model):
    """`wants`: requests per second; None: more than it gets."""

    share: float = 0.0
    wants: float | None = None


class Holder(Model):
    """One process. `renewed_at`: seconds since 1970. `points`: of its requests under way."""

    holder_id: str
    owner: Owner
    renewed_at: float
    shares: dict[str, ClassShare] = Field(default_factory=dict)
    points: int = 0

    def is_live(self, wall: float) -> bool:
        return self.renewed_at > wall - HOLD_S and not is_gone(self.owner)


class ClassBudget(Model):
    """`at`: when it was written, in seconds since 1970."""

    at: float
    learned: LearnedRate


class QuotaBudget(Model):
    """Moments are seconds after `SiteDocument.at`."""

    limit: int | None = None
    left: int | None = None
    resets_at: float | None = None
    refused_until: float | None = None
    reason: str | None = None


class SiteDocument(Model):
    schema_number: Literal[1] = 1
    at: float = 0.0
    paused_until: float | None = None
    quota: QuotaBudget = QuotaBudget()
    classes: dict[str, ClassBudget] = Field(default_factory=dict)
    holders: tuple[Holder, ...] = ()

    def live(self, wall: float, without: str) -> tuple[Holder, ...]:
        return tuple(one for one in self.holders if one.holder_id != without and one.is_live(wall))


def written_before(now: float, wall: float, at: float, earliest: float = float("-inf")) -> float:
    """The monotonic time at which a document was written: never later than now, nor before `earliest`, whatever the other clock says."""
    return max(earliest, now - max(0.0, wall - at))


def quota_of(known: QuotaBudget, written: float) -> Quota:
    return Quota(
        known.limit,
        known.left,
        absolute(known.resets_at, written),
        absolute(known.refused_until, written),
        reason=known.reason,
    )


def quota_document(quota: Quota, now: float) -> QuotaBudget:
    return QuotaBudget(
        limit=quota.limit,
        left=quota.left,
        resets_at=relative(quota.resets_at, now),
        refused_until=relative(quota.refused_until, now),
        reason=quota.reason,
    )


def known_rate(known: ClassBudget, bounds: Bounds, written: float) -> Aimd:
    """What the processes knew of a class when it was written."""
    aimd = Aimd(bounds)
    aimd.adopt(known.learned, written)
    return aimd


def learned_with(known: Aimd | None, own: LearnedRate, outcomes: list[Outcome], now: float) -> LearnedRate:
    """What all processes know, with the outcomes of this one. `own`: what this one knows, where the others know nothing."""
    if known is None:
        return own
    for outcome in outcomes:
        known.learn(outcome)
    return known.learned(now)


def divided(wants: Mapping[str, float | None], rate: float) -> dict[str, float]:
    """Divides a rate: a holder that wants less than an equal part gets what it wants, the others share the rest equally.

    What nobody wants is shared equally, too, so that any of them may send more at once.
    """
    shares: dict[str, float] = {}
    left = 1.0
    ordered = sorted(wants, key=lambda name: (wants[name] is None, wants[name] or 0.0, name))
    for index, name in enumerate(ordered):
        most, wanted = left / (len(ordered) - index), wants[name]
        shares[name] = most if wanted is None else min(most, wanted / rate)
        left -= shares[name]
    return {name: share + left / len(shares) for name, share in shares.items()}


def share_of(
    holder_id: str, wants: float | None, others: tuple[Holder, ...], endpoint_class: str, rate: float
) -> float:
    """The share that a process takes now."""
    rivals = {one.holder_id: one.shares[endpoint_class] for one in others if endpoint_class in one.shares}
    target = divided({name: rival.wants for name, rival in rivals.items()} | {holder_id: wants}, rate)[holder_id]
    free = 1.0 - sum(rival.share for rival in rivals.values())
    share = min(target, free)
    return share if share >= LEAST_SHARE else 0.0


def wanted_rate(sent: int, seconds: float, is_waiting: bool, own_rate: float, before: float | None) -> float | None:
    """What a process wants of a class, from what it sent in the last seconds: None for one that could send more than it may."""
    rate = sent / max(seconds, 1e-3)
    if is_waiting and rate >= 0.7 * own_rate:
        return None
    return max(MORE * rate + LEAST_RATE, 0.7 * before if before is not None else 0.0)
