"""How one column of a server travels as text: its Arrow type, its expression in a SELECT, its role on an axis."""

from dataclasses import dataclass

from ingest_ray.sdk.types import Fidelity
from ingest_strategies.jdbc.dialect import Kind


@dataclass(frozen=True)
class ColumnCarrier:
    """`select` is the expression over `{0}`; `kind` says whether the column orders an axis, `cast` the type of its literals."""

    arrow: str
    kind: Kind = "other"
    select: str = "{0}"
    logical: str | None = None
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None
    cast: str = ""


def refused(note: str) -> ColumnCarrier:
    return ColumnCarrier("null", fidelity=Fidelity.REFUSED, note=note)
