"""Whether rows in quarantine can be replayed: only into a table that is changed by key."""

from collections.abc import Sequence

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitSpec, WriteMode

MOST_NAMES = 5

_REASONS = {
    WriteMode.REPLACE: (
        "each run replaces its table",
        "correct the rows at the source, or the unit's types, and run it again",
    ),
    WriteMode.APPEND: (
        "it appends, and a replay could double rows",
        "give it a key and write: upsert; or correct the rows at the source, so that a run reads them as changed",
    ),
}


class NoReplay(Model):
    """A unit whose rejected rows cannot be replayed, and what to do about them instead."""

    endpoint_id: str
    unit_id: str
    reason: str
    hint: str

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


def no_replay(spec: UnitSpec) -> NoReplay | None:
    """None where rejected rows of the unit can be replayed."""
    found = _REASONS.get(spec.write_mode)
    if found is None:
        return None
    return NoReplay(endpoint_id=spec.ref.endpoint_id, unit_id=spec.unit_id, reason=found[0], hint=found[1])


def replay_notes(found: Sequence[NoReplay]) -> list[str]:
    """One sentence for the units of each reason."""
    notes = []
    for reason, hint in _REASONS.values():
        names = [str(each.ref) for each in found if each.reason == reason]
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            count = "1 unit" if len(names) == 1 else f"{len(names)} units"
            notes.append(
                f"rejected rows of {count} stay in quarantine and cannot be replayed, because {reason}: "
                f"{', '.join(names[:MOST_NAMES])}{more}; {hint}"
            )
    return notes
