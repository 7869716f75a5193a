"""Writes rich text as Markdown: CommonMark with the tables, task lists and strike-through of GitHub's dialect.

https://spec.commonmark.org/0.31.2/, https://github.github.com/gfm/. Text that looks like Markdown is escaped with backslashes, so that a
reader of the Markdown sees the text that the source's reader saw.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from ingest_strategies.rich_text.document import (
    Block,
    Cell,
    CodeBlock,
    Heading,
    Item,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
    Run,
    Table,
)
from ingest_strategies.rich_text.markdown_inline import BACKTICKS, code_span, escape_line_start, inline_text

_LANGUAGE = re.compile(r"[\w+#./-]{1,40}")
_CLOSING_SIGNS = re.compile(r"(?:^|(?<=\s))#+$")  # Markdown would drop them at the end of a heading
_MOST_SPAN = 100
_MOST_CELLS = 50_000  # of one table; the spans of further cells are left out


def to_markdown(blocks: Iterable[Block]) -> str:
    return "\n\n".join(filter(None, map(_block, blocks)))


def _block(block: Block) -> str:
    match block:
        case Paragraph(runs):
            return _lines(runs)
        case Heading(level, runs):
            return f"{'#' * level} {_CLOSING_SIGNS.sub(_escaped_signs, ' '.join(inline_text(runs).split()))}".rstrip()
        case CodeBlock(text, language):
            return _fenced(text, language)
        case Quote(inner):
            return _indented(to_markdown(inner), "> ")
        case ListBlock(items, first):
            return "\n".join(_item(item, first, index) for index, item in enumerate(items))
        case Table(rows):
            return _table(rows)
        case Rule():
            return "---"


def _escaped_signs(match: re.Match[str]) -> str:
    return f"\\{match[0]}"


def _lines(runs: Sequence[Run]) -> str:
    lines = (line.strip() for line in inline_text(runs).split("\n"))
    return "\n".join(escape_line_start(line) for line in lines if line)


def _fenced(text: str, language: str) -> str:
    longest = max((len(ticks) for ticks in BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language if _LANGUAGE.fullmatch(language) else ''}\n{text}\n{fence}"


def _item(item: Item, first: int | None, index: int) -> str:
    marker = "-" if first is None else f"{first + index}."
    parts: list[str] = [] if item.checked is None else ["[x]" if item.checked else "[ ]"]
    for number, block in enumerate(item.blocks):
        text = _block(block)
        if text and parts:
            text = f"{_gap(block, is_beside_box=number == 0)}{text}"
        if text:
            parts.append(text)
    indented = _indented("".join(parts), " " * (len(marker) + 1)).lstrip(" ")
    return f"{marker} {indented}".rstrip()


def _gap(block: Block, is_beside_box: bool) -> str:
    """What stands before a block that is not the first thing in its item."""
    if is_beside_box:
        return " " if isinstance(block, Paragraph) else "\n\n"
    can_follow = isinstance(block, CodeBlock) or (isinstance(block, ListBlock) and block.first in (None, 1))
    return "\n" if can_follow else "\n\n"


def _indented(text: str, by: str) -> str:
    return "\n".join(f"{by}{line}".rstrip() for line in text.split("\n"))


def _table(rows: Sequence[Sequence[Cell]]) -> str:
    """The first row is the head where all of its cells are heads; a table without one has an empty head."""
    grid = _grid(rows)
    if not grid:
        return ""
    width = max(map(len, grid))
    if len(grid) > 1 or grid[0]:
        for row in grid:
            row.extend([None] * (width - len(row)))
    has_head = all(cell is None or cell.is_head for cell in grid[0]) and any(grid[0])
    head = [_cell_text(cell) for cell in grid[0]] if has_head else [""] * width
    lines = [_row(head), f"|{' --- |' * width}"]
    for row in grid[1:] if has_head else grid:
        lines.append(_row([_cell_text(cell, is_bold=cell is not None and cell.is_head) for cell in row]))
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _grid(rows: Sequence[Sequence[Cell]]) -> list[list[Cell | None]]:
    """Every cell at each position that it spans, so that a value stands under its head in every row."""
    grid: list[list[Cell | None]] = []
    carried: dict[int, tuple[Cell, int]] = {}
    count = 0
    for row in rows:
        line: list[Cell | None] = []
        waiting = list(reversed(row))
        while waiting or (carried and len(line) <= max(carried)):
            column = len(line)
            if column in carried:
                cell, left = carried.pop(column)
                line.append(cell)
                if left > 1:
                    carried[column] = (cell, left - 1)
                continue
            if not waiting:
                line.append(None)
                continue
            cell = waiting.pop()
            span = min(cell.columns, _MOST_SPAN) if count < _MOST_CELLS else 1
            for offset in range(span):
                if offset and len(line) in carried:
                    break
                if cell.rows > 1 and count < _MOST_CELLS:
                    carried[len(line)] = (cell, min(cell.rows, len(rows)) - 1)
                line.append(cell)
        count += len(line)
        if line:
            grid.append(line)
    return grid


def _cell_text(cell: Cell | None, is_bold: bool = False) -> str:
    if cell is None:
        return ""
    text = "<br>".join(filter(None, (line for block in cell.blocks for line in _cell_lines(block, is_bold))))
    return text.replace("|", "\\|")


def _cell_lines(block: Block, is_bold: bool = False) -> Iterator[str]:
    """A block as lines of inline Markdown, because a cell can hold nothing else."""
    match block:
        case Paragraph(runs) | Heading(_, runs):
            if is_bold:
                runs = [Run(run.text, run.marks | {"strong"}, run.href, run.title, run.is_image) for run in runs]
            yield from (line.strip() for line in inline_text(runs).split("\n"))
        case CodeBlock(text):
            yield from (code_span(line) for line in text.split("\n") if line.strip())
        case Quote(inner):
            for each in inner:
                yield from _cell_lines(each, is_bold)
        case ListBlock(items, first):
            for index, item in enumerate(items):
                yield from _cell_item(item, first, index)
        case Table(rows):
            for row in rows:
                cells = (" ".join(line for each in cell.blocks for line in _cell_lines(each)) for cell in row)
                yield "; ".join(filter(None, cells))
        case Rule():
            return


def _cell_item(item: Item, first: int | None, index: int) -> Iterator[str]:
    marker = "-" if first is None else f"{first + index}."
    box = {None: "", True: "[x] ", False: "[ ] "}[item.checked]
    lines = [line for block in item.blocks for line in _cell_lines(block)]
    yield f"{marker} {box}{lines[0] if lines else ''}".rstrip()
    yield from lines[1:]
