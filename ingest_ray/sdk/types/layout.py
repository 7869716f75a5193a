"""The layout of a unit's table in a lake: how its rows are divided into partitions, ordered inside files, and how large files are."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator

from ingest_ray.sdk.types.model import Model

ENDPOINT = "endpoint"
"""A partition by the id of the unit's endpoint. A column of that name is written `identity(endpoint)`."""
ENDPOINT_COLUMN = "_ingest_endpoint"

TRANSFORMS = ("identity", "year", "month", "day", "hour", "bucket", "truncate")
_CALL = re.compile(r"^\s*(\w+)\((.*)\)\s*$", re.DOTALL)
_PARAMETER = re.compile(r"^\s*(\d{1,9})\s*,(.*)$", re.DOTALL)
_FORMS = (
    "column, year(column), month(column), day(column), hour(column), bucket(16, column), truncate(10, column), endpoint"
)


@dataclass(frozen=True)
class Partition:
    """One entry of `partition_by`. `parameter`: of `bucket` the number of buckets, of `truncate` the width."""

    transform: str
    column: str
    parameter: int | None = None

    @property
    def name(self) -> str:
        """The name of the partition in a table, as Iceberg's own: https://iceberg.apache.org/spec/#partition-evolution."""
        if self.transform == ENDPOINT:
            return ENDPOINT_COLUMN
        if self.transform == "identity":
            return self.column
        suffix = "trunc" if self.transform == "truncate" else self.transform
        return f"{self.column}_{suffix}" + (f"_{self.parameter}" if self.parameter is not None else "")

    @property
    def is_derived(self) -> bool:
        """True where its values are no column of the source."""
        return self.transform != "identity"

    def __str__(self) -> str:
        if self.transform == ENDPOINT:
            return ENDPOINT
        if self.transform == "identity":
            return f"identity({self.column})" if self.column == ENDPOINT or "(" in self.column else self.column
        number = "" if self.parameter is None else f"{self.parameter}, "
        return f"{self.transform}({number}{self.column})"


def parse_partition(text: str) -> Partition:
    """Raises `ValueError`, which says what is understood."""
    call = _CALL.match(text)
    if call is None:
        if not text.strip():
            raise ValueError(f"an empty partition; understood: {_FORMS}")
        return Partition(ENDPOINT, "") if text.strip() == ENDPOINT else Partition("identity", text.strip())
    transform, inner = call[1], call[2]
    if transform not in TRANSFORMS:
        raise ValueError(f"'{text}' has an unknown transform '{transform}'; understood: {_FORMS}")
    parameter = None
    if transform in ("bucket", "truncate"):
        numbered = _PARAMETER.match(inner)
        if numbered is None or not 0 < int(numbered[1]) < 2**31:
            raise ValueError(f"'{text}' needs a number from 1 on and a column: {transform}(16, column)")
        parameter, inner = int(numbered[1]), numbered[2]
    if not inner.strip():
        raise ValueError(f"'{text}' names no column; understood: {_FORMS}")
    return Partition(transform, inner.strip(), parameter)


class Layout(Model):
    """`partition_by` None: as the table is; empty: without partitions."""

    partition_by: tuple[str, ...] | None = None
    cluster_by: tuple[str, ...] = ()
    target_file_mb: Annotated[int, Field(ge=1, le=4096)] = 128
    compact_after: Annotated[int, Field(ge=0)] = 50
    """A run whose table has more small files in one partition compacts them before it begins; 0: only `compact` does."""

    @field_validator("partition_by")
    @classmethod
    def _is_understood(cls, entries: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if entries is None:
            return None
        parsed = [parse_partition(entry) for entry in entries]
        names = [partition.name.lower() for partition in parsed]
        doubled = next((one for one, name in zip(parsed, names, strict=True) if names.count(name) > 1), None)
        if doubled is not None:
            raise ValueError(f"'{doubled}' is named twice")
        return tuple(str(one) for one in parsed)

    @property
    def partitions(self) -> tuple[Partition, ...] | None:
        return None if self.partition_by is None else tuple(parse_partition(entry) for entry in self.partition_by)

    @property
    def target_file_bytes(self) -> int:
        return self.target_file_mb * 1024 * 1024

    def renamed(self, names: dict[str, str]) -> "Layout":
        """With the columns' names in the target."""
        partitions = self.partitions
        entries = None
        if partitions is not None:
            renamed = [Partition(one.transform, names.get(one.column, one.column), one.parameter) for one in partitions]
            entries = tuple(map(str, renamed))
        clustered = tuple(names.get(name, name) for name in self.cluster_by)
        return self.model_copy(update={"partition_by": entries, "cluster_by": clustered})

    def __str__(self) -> str:
        parts = []
        if self.partition_by is not None:
            parts.append("partitioned by " + (", ".join(self.partition_by) or "nothing"))
        if self.cluster_by:
            parts.append("clustered by " + ", ".join(self.cluster_by))
        return "; ".join([*parts, f"files of {self.target_file_mb} MB"])
