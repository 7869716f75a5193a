"""What was prepared, as a commit finds it: a stage, what its rows do not carry, and whether the server still has all of them.

A stage has no provenance of its own: it is the same for all of its rows and is put on when they move into the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sdk.types import Prepared, Target, WriteMode
from ingest_ray.sinks.databases.database import ORDER, Database, Session
from ingest_ray.sinks.provenance import AT, RUN_ID, SLICE, Stamp

CARRIED = (RUN_ID, SLICE, AT)


@dataclass(frozen=True)
class Arrival:
    stage: str
    slice_id: str
    run_id: str
    at: datetime
    rows: int
    is_numbered: bool

    @classmethod
    def of(cls, target: Target, one: Prepared) -> "Arrival":
        return cls(
            stage=str(one.payload["stage"]),
            slice_id=one.slice_id,
            run_id=str(one.payload["run"]),
            at=datetime.fromisoformat(str(one.payload["at"])),
            rows=one.rows,
            is_numbered=is_numbered(target, is_insert_only=one.is_insert_only),
        )

    def provenance(self, db: Database) -> list[str]:
        """The terms of `CARRIED`."""
        return [db.text(self.run_id), db.text(self.slice_id), db.moment(self.at)]

    @property
    def order(self) -> str:
        return ORDER if self.is_numbered else "0"


def is_numbered(target: Target, *, is_insert_only: bool) -> bool:
    """Which of two rows arrived later counts only where both may have one key."""
    return target.write is WriteMode.UPSERT and not is_insert_only


def payload_of(stage: str, stamp: Stamp) -> dict[str, str]:
    return {"stage": stage, "run": stamp.run_id, "at": stamp.at.isoformat()}


def stages_of(group: Sequence[Prepared]) -> list[str]:
    return [str(one.payload["stage"]) for one in group]


def refuse_lost(db: Database, session: Session, loaded: Mapping[str, int]) -> None:
    """Stages by name, with the rows that were loaded. A server that crashed may have emptied them.

    Raises:
        StagingLost: nothing was committed, nor ever will be of a group with such a stage: its name is never used again.
    """
    if not loaded:
        return
    counts = [f"(select count(*) from {db.staged(stage)}) as c{place}" for place, stage in enumerate(loaded)]
    (found,) = session.run(f"select {', '.join(counts)}")
    for (stage, rows), there in zip(loaded.items(), found, strict=True):
        refuse_less(db, stage, rows, int(there))


def refuse_less(db: Database, stage: str, rows: int, there: int) -> None:
    """As `refuse_lost`, of what is counted already."""
    if there != rows:
        raise StagingLost(
            f"stage '{db.location(stage)}' has {there} rows instead of {rows}: the server has lost them, as after a crash",
            hint="what is committed stays, and this is read again",
        )
