"""Rich text as the three formats have it in common: blocks, and runs of text with marks. `markdown.py` writes it.

The readers of the formats follow elements that are nested `MOST_DEPTH` deep. What is nested deeper becomes plain text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

MOST_DEPTH = 80

Mark = Literal["strong", "em", "strike", "code"]
MARK_ORDER: tuple[Mark, ...] = ("strong", "em", "strike", "code")
"""From the outer mark to the inner one."""


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text with one formatting. `text` may have line breaks. `href`: the target of a link around it."""

    text: str
    marks: frozenset[Mark] = frozenset()
    href: str | None = None
    title: str | None = None
    is_image: bool = False

    def with_text(self, text: str) -> "Run":
        return Run(text, self.marks, self.href, self.title)


@dataclass(slots=True)
class Paragraph:
    runs: list[Run]


@dataclass(slots=True)
class Heading:
    level: int
    runs: list[Run]


@dataclass(slots=True)
class CodeBlock:
    text: str
    language: str = ""


@dataclass(slots=True)
class Quote:
    blocks: "list[Block]"


@dataclass(slots=True)
class Item:
    """`checked` is None for items that are no tasks."""

    blocks: "list[Block]"
    checked: bool | None = None


@dataclass(slots=True)
class ListBlock:
    """`first`: the number of the first item; None for a list without numbers."""

    items: list[Item] = field(default_factory=list)
    first: int | None = None


@dataclass(slots=True)
class Cell:
    blocks: "list[Block]"
    is_head: bool = False
    columns: int = 1
    rows: int = 1


@dataclass(slots=True)
class Table:
    rows: list[list[Cell]]


@dataclass(slots=True)
class Rule:
    pass


Block = Paragraph | Heading | CodeBlock | Quote | ListBlock | Table | Rule


class BlockWriter:
    """Collects blocks in reading order: runs go into a paragraph that the next block ends."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._runs: list[Run] = []
        self._ends_apart = False

    def add_run(self, run: Run) -> None:
        if not run.text and not run.href:
            return
        if self._ends_apart and self._is_glued(run):
            self._runs.append(Run(" "))
        self._ends_apart = False
        self._runs.append(run)

    def add_apart(self, run: Run) -> None:
        """A run that is no piece of a word, such as a person or a state: a space parts it from letters beside it."""
        if self._is_glued(run):
            self._runs.append(Run(" "))
        self.add_run(run)
        self._ends_apart = True

    def _is_glued(self, run: Run) -> bool:
        before = self._runs[-1].text[-1:] if self._runs else ""
        return before.isalnum() and (run.text[:1].isalnum() or run.text[:1] == "@")

    def add_block(self, block: Block) -> None:
        self.end_paragraph()
        self.blocks.append(block)

    def end_paragraph(self) -> None:
        runs, self._runs, self._ends_apart = self._runs, [], False
        if any(run.text.strip() or run.href for run in runs):
            self.blocks.append(Paragraph(runs))

    def take_runs(self) -> list[Run]:
        """The runs since the last block, which then become no paragraph."""
        runs, self._runs = self._runs, []
        return runs

    def finish(self) -> list[Block]:
        self.end_paragraph()
        return self.blocks


def titled(title: str, blocks: Sequence[Block]) -> list[Block]:
    """The blocks after a bold line, where there is a title."""
    if not title.strip():
        return list(blocks)
    return [Paragraph([Run(title.strip(), frozenset({"strong"}))]), *blocks]
