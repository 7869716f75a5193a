"""Which transactions are below a position, by their global ids.

MariaDB: `domain-server-number`, the last one of each domain (https://mariadb.com/kb/en/gtid/). MySQL: `uuid:1-5:7`, sets of numbers for
each server (https://dev.mysql.com/doc/refman/8.4/en/replication-gtids-concepts.html).
"""

import re
from dataclasses import dataclass, field

_MARIADB = re.compile(r"(\d+)-(\d+)-(\d+)\Z")
Spans = list[tuple[int, int]]  # both ends are in


@dataclass
class GtidState:
    """Mutable: `add` is called for every transaction of a log."""

    last: dict[int, tuple[int, int]] = field(default_factory=dict)
    """MariaDB: domain -> (number, server)."""
    sets: dict[str, Spans] = field(default_factory=dict)
    """MySQL: uuid, with a tag where there is one -> numbers."""

    @classmethod
    def parse(cls, text: str) -> "GtidState":
        state = cls()
        for part in re.sub(r"\s", "", text).split(","):
            if found := _MARIADB.match(part):
                state.last[int(found[1])] = (int(found[3]), int(found[2]))
            elif part:
                state._parse_set(part)
        return state

    def _parse_set(self, part: str) -> None:
        uuid, *items = part.lower().split(":")
        name = uuid
        for item in items:
            if item[:1].isdigit():
                first, _, last = item.partition("-")
                self._add_span(name, int(first), int(last or first))
            else:
                name = f"{uuid}:{item}"  # a tag, of MySQL 8.3

    def _add_span(self, name: str, first: int, last: int) -> None:
        merged: Spans = []
        for span in sorted([*self.sets.get(name, []), (first, last)]):
            if merged and span[0] <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], span[1]))
            else:
                merged.append(span)
        self.sets[name] = merged

    def add(self, gtid: "Gtid") -> None:
        if gtid.uuid:
            self._add_span(gtid.uuid, gtid.number, gtid.number)
        else:
            self.last[gtid.domain] = (gtid.number, gtid.server)

    def merge(self, later: "GtidState") -> None:
        """Adds the transactions of a part of the log that goes on behind this state, or overlaps its end."""
        self.last.update(later.last)
        for name, spans in later.sets.items():
            for first, last in spans:
                self._add_span(name, first, last)

    def has(self, gtid: "Gtid") -> bool:
        if gtid.uuid:
            return any(first <= gtid.number <= last for first, last in self.sets.get(gtid.uuid, []))
        return gtid.domain in self.last and gtid.number <= self.last[gtid.domain][0]

    def covers(self, other: "GtidState") -> bool:
        """Whether every transaction of `other` is below this state."""
        domains = all(domain in self.last and self.last[domain][0] >= at[0] for domain, at in other.last.items())
        return domains and all(
            any(known[0] <= span[0] and span[1] <= known[1] for known in self.sets.get(name, []))
            for name, spans in other.sets.items()
            for span in spans
        )

    def differs_from(self, other: "GtidState") -> bool:
        """Whether a transaction of another server has the number of the last one of a domain: MariaDB numbers them in each domain."""
        return any(
            domain in self.last and self.last[domain][0] == number and self.last[domain][1] != server
            for domain, (number, server) in other.last.items()
        )

    def __bool__(self) -> bool:
        return bool(self.last or self.sets)

    def __str__(self) -> str:
        """In one spelling: positions are compared for equality."""
        parts = [f"{domain}-{server}-{number}" for domain, (number, server) in sorted(self.last.items())]
        for name, spans in sorted(self.sets.items()):
            parts.append(":".join([name, *(f"{a}-{b}" if a != b else str(a) for a, b in spans)]))
        return ",".join(parts)


@dataclass(frozen=True)
class Gtid:
    """Of one transaction: MySQL's have a uuid, MariaDB's a domain and a server."""

    number: int
    domain: int = 0
    server: int = 0
    uuid: str = ""
