"""A table that a person searches and sorts: the search looks into every row, the head of a column sorts by it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nicegui import ui

from ingest_ray.console.elements import Body, element_of, table_element, text_of

T = TypeVar("T")

MOST_SHOWN = 100  # rows on one page; the search finds the others


@dataclass(frozen=True)
class Column(Generic[T]):
    """`key`: the value that rows are sorted by; None: the column cannot be sorted. Rows without a value come last."""

    name: str
    key: Callable[[T], Any] | None = None
    is_number: bool = False


class Listing(Generic[T]):
    """`show` makes the row of one item; `text` is what the search looks into. `noun`: what the items are, for the count."""

    def __init__(
        self,
        caption: str,
        noun: str,
        columns: Sequence[Column[T]],
        text: Callable[[T], str],
        show: Callable[[T], None],
        *,
        is_wanted: Callable[[T], bool] = lambda item: True,
    ) -> None:
        self._caption, self._noun, self._columns = caption, noun, columns
        self._text, self._show, self._is_wanted = text, show, is_wanted
        self._items: list[T] = []
        self.shown: list[T] = []
        self._search = ""
        self._sorted_by: Column[T] | None = None
        self._is_descending = False
        self._heads: dict[str, ui.element] = {}

    def search_field(self) -> None:
        ui.input(f"Search {self._noun}s", on_change=lambda change: self._find(change.value or "")).props(
            "dense outlined clearable"
        )

    def make(self, items: Iterable[T]) -> None:
        self._count = text_of("", "p", "soft").props('role="status"')
        with table_element(self._caption):
            with element_of("thead", "rowgroup"), element_of("tr", "row"):
                for column in self._columns:
                    self._make_head(column)
            self._body = Body([column.name for column in self._columns])
        self.put(items)

    def put(self, items: Iterable[T]) -> None:
        """Shows other items; search and order stay."""
        self._items = list(items)
        self.show()

    @property
    def found(self) -> list[T]:
        """What the search finds, in the order of the table."""
        wanted = [item for item in self._items if self._is_wanted(item) and self._search in self._text(item).lower()]
        key = self._sorted_by.key if self._sorted_by is not None else None
        if key is None:
            return wanted
        with_value = [item for item in wanted if key(item) is not None]
        rest = [item for item in wanted if key(item) is None]
        return [*sorted(with_value, key=key, reverse=self._is_descending), *rest]

    def show(self) -> None:
        found = self.found
        self.shown = found[:MOST_SHOWN]
        more = f", the first {len(self.shown)} are shown" if len(self.shown) < len(found) else ""
        self._count.set_text(f"{len(found)} {self._noun}(s){more}")
        self._body.clear()
        with self._body:
            for item in self.shown:
                self._show(item)

    def _make_head(self, column: Column[T]) -> None:
        with element_of("th", "columnheader").classes("number" if column.is_number else "") as head:
            if column.key is None:
                text_of(column.name)
                return
            with ui.element("button").props('type="button"').on("click", lambda: self._sort(column)):
                text_of(column.name)
        self._heads[column.name] = head

    def _sort(self, column: Column[T]) -> None:
        self._is_descending = self._sorted_by is column and not self._is_descending
        self._sorted_by = column
        for name, head in self._heads.items():
            head.props(remove="aria-sort")
            if name == column.name:
                head.props(f'aria-sort="{"descending" if self._is_descending else "ascending"}"')
        self.show()

    def _find(self, text: str) -> None:
        self._search = text.lower()
        self.show()
