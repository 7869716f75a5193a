"""Positions in the binary log: a file and an offset on the server that wrote the file, and the GTIDs of everything below them."""

import re
from dataclasses import dataclass

from ingest_ray.sdk.types import Position
from ingest_strategies.jdbc.mysql.changes.gtids import GtidState

ITEMS = 4
OFFSET_BITS = 36  # of a number of a position: the rest is the number of the file
_NUMBER = re.compile(r"\.(\d+)\Z")


@dataclass(frozen=True)
class LogPosition:
    """`writer`: the id of the server that made the file, and when it did, as `1@1764502000`: tells a file from another one of its name."""

    file: str
    offset: int
    writer: str
    gtids: str = ""

    @classmethod
    def parse(cls, position: Position) -> "LogPosition":
        """Raises `ValueError` for a position of another kind."""
        if len(position) != ITEMS:
            raise ValueError("not a position of a binary log")
        file, offset, writer, gtids = position
        return cls(str(file), int(offset), str(writer), str(gtids))

    @property
    def position(self) -> Position:
        return (self.file, self.offset, self.writer, self.gtids)

    @property
    def file_number(self) -> int:
        found = _NUMBER.search(self.file)
        return int(found[1]) if found else 0

    @property
    def number(self) -> int:
        """Orders positions of one server."""
        return self.file_number << OFFSET_BITS | self.offset

    @property
    def server_id(self) -> str:
        return self.writer.partition("@")[0]

    @property
    def state(self) -> GtidState:
        return GtidState.parse(self.gtids)

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}" + (f" ({self.gtids})" if self.gtids else "")
