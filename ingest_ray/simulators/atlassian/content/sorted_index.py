"""Sorted lists of (key, id), one per group and order: a listing reads them from a cursor on."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from heapq import merge

Entry = tuple[int, int]


class SortedIndex:
    """Groups are numbered; every item has one key per order."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.lists: list[dict[str, list[Entry]]] = []

    def group(self, number: int) -> dict[str, list[Entry]]:
        while number >= len(self.lists):
            self.lists.append({name: [] for name in self.names})
        return self.lists[number]

    def load(self, items: list[tuple[int, int, tuple[int, ...]]]) -> None:
        """(group, id, keys), in any order."""
        for number, item, keys in items:
            lists = self.group(number)
            for name, key in zip(self.names, keys, strict=True):
                lists[name].append((key, item))
        for lists in self.lists:
            for entries in lists.values():
                entries.sort()

    def add(self, number: int, item: int, keys: tuple[int, ...]) -> None:
        lists = self.group(number)
        for name, key in zip(self.names, keys, strict=True):
            insort(lists[name], (key, item))

    def drop(self, number: int, item: int, keys: tuple[int, ...]) -> None:
        lists = self.group(number)
        for name, key in zip(self.names, keys, strict=True):
            entries = lists[name]
            del entries[bisect_left(entries, (key, item))]

    def entries_after(self, groups: Sequence[int], name: str, after: Entry | None, *, down: bool) -> Iterator[Entry]:
        """Entries of the groups in one order, strictly after a cursor."""
        parts = [self._part(self.group(number)[name], after, down) for number in groups]
        if len(parts) == 1:
            return parts[0]
        return merge(*parts, reverse=down)

    @staticmethod
    def _part(entries: list[Entry], after: Entry | None, down: bool) -> Iterator[Entry]:
        if down:
            at = (bisect_left(entries, after) if after is not None else len(entries)) - 1
            while at >= 0:
                yield entries[at]
                at -= 1
        else:
            at = bisect_right(entries, after) if after is not None else 0
            while at < len(entries):
                yield entries[at]
                at += 1

    def between(self, groups: Sequence[int], name: str, lower: int, upper: int) -> list[int]:
        """Ids whose key lies in [lower, upper)."""
        matches: list[int] = []
        for number in groups:
            entries = self.group(number)[name]
            matches += [i for _, i in entries[bisect_left(entries, (lower, -1)) : bisect_left(entries, (upper, -1))]]
        return matches

    def count_between(self, groups: Sequence[int], name: str, lower: int, upper: int) -> int:
        total = 0
        for number in groups:
            entries = self.group(number)[name]
            total += bisect_left(entries, (upper, -1)) - bisect_left(entries, (lower, -1))
        return total
