"""The elements of pages: plain HTML with names for screen readers."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlencode

from nicegui import ui

from ingest_ray.logs import escape_controls

MARKS = {"IDLE": "○", "RUNNING": "▶", "PAUSED": "⏸", "FAILED": "✕", "SUCCEEDED": "✓"}


def heading(text: str, level: int = 2) -> ui.element:
    with ui.element(f"h{level}") as made:
        text_of(text)
    return made


def text_of(text: str, tag: str = "span", classes: str = "") -> ui.label:
    made = ui.label(readable(text)).classes(classes)
    made.tag = tag
    return made


@contextmanager
def table(
    caption: str, columns: Sequence[str], numbers: Sequence[str] = (), *, is_narrow: bool = False
) -> Iterator[ui.element]:
    """Yields the body of the table; `row` adds rows to it."""
    with table_element(caption, is_narrow=is_narrow):
        with element_of("thead", "rowgroup"), element_of("tr", "row"):
            for name in columns:
                with element_of("th", "columnheader").classes("number" if name in numbers else ""):
                    text_of(name)
        with Body(columns) as body:
            yield body


def table_element(caption: str, *, is_narrow: bool = False) -> ui.element:
    made = element_of("table", "table").classes("plain narrow" if is_narrow else "plain")
    named(made, caption)
    return made


def element_of(tag: str, role: str) -> ui.element:
    """The role is explicit: where the style makes cards of rows, browsers forget that they are parts of a table."""
    return ui.element(tag).props(f'role="{role}"')


class Body(ui.element):
    """The body of a table. Its cells show the names of their columns where the window is narrow."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__("tbody")
        self.props('role="rowgroup"')
        self.columns = columns


@contextmanager
def row() -> Iterator[ui.element]:
    with element_of("tr", "row") as made:
        yield made


def cell(text: str, classes: str = "") -> ui.label:
    made = text_of(text, "td", classes)
    _name_column(made)
    return made


@contextmanager
def cell_with(classes: str = "") -> Iterator[ui.element]:
    with ui.element("td").classes(classes) as made:
        _name_column(made)
        yield made


def _name_column(made: ui.element) -> None:
    made.props('role="cell"')
    line = made.parent_slot.parent if made.parent_slot is not None else None
    body = line.parent_slot.parent if line is not None and line.parent_slot is not None else None
    if line is not None and isinstance(body, Body):
        made.props["data-column"] = body.columns[len(line.default_slot.children) - 1]


class State:
    """A state in words and a mark, not in colour only."""

    def __init__(self, state: str, tag: str = "span") -> None:
        self._label = cell("", "state") if tag == "td" else text_of("", tag, "state")
        self._state = ""
        self.show(state)

    def show(self, state: str) -> None:
        if state != self._state:
            self._label.classes(remove=self._state, add=state)
            self._label.set_text(f"{MARKS.get(state, '')} {state.lower()}")
            self._state = state


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    with ui.element("dl").classes("facts"):
        for name, value in pairs:
            text_of(name, "dt")
            text_of(value or "-", "dd")


def button(
    text: str, on_click: Callable[[], Awaitable[None] | None], about: str = "", *, is_main: bool = False
) -> ui.button:
    """`about`: the object of the action, for screen readers, which do not see the button's row."""
    made = ui.button(text, on_click=on_click).props("dense no-caps padding='2px 10px'")
    made.props("unelevated color=primary" if is_main else "outline color=primary")
    if about:
        named(made, f"{text} {about}")
    return made


def link_to(text: str, path: str, **query: str | None) -> ui.link:
    """A link to a page of the console."""
    return ui.link(readable(text), url(path, **query))


def url(path: str, **query: str | None) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def note(text: str, kind: str = "error") -> ui.label:
    """A box with a text: `error`, `warning`, or `empty`."""
    return text_of(text, "p", kind).props('role="alert"' if kind == "error" else "")


def named(made: ui.element, name: str) -> None:
    """The name for screen readers. As data: the text form of properties is a small language, which names of a source must not write."""
    made.props["aria-label"] = readable(name)


def readable(text: str) -> str:
    """Control characters and those that turn the direction of text, as escapes."""
    return escape_controls(text).encode("utf-8", "backslashreplace").decode()


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{format_count(number)} {noun}" if number == 1 else f"{format_count(number)} {noun}s"


async def confirm(question: str, consequence: str, yes: str) -> bool:
    with ui.dialog().props('aria-label="Confirm"') as dialog, ui.card():
        heading(question)
        text_of(consequence, "p")
        with ui.element("div").classes("bar"):
            button(yes, lambda: dialog.submit(True), is_main=True)
            button("Cancel", lambda: dialog.submit(False))
    answer = await dialog
    dialog.delete()
    return bool(answer)


def format_time(moment: datetime | str | None) -> str:
    if moment is None:
        return "-"
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def format_age(moment: datetime | None) -> str:
    """The time since then: `42 s`, `5 min`, `3 h`, `2 d`."""
    if moment is None:
        return "-"
    return format_span(max(0.0, (datetime.now(UTC) - moment).total_seconds()))


def format_span(seconds: float | None) -> str:
    """As `format_age`."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_seconds(seconds: float) -> str:
    """`0.8 s`, `42 s`, `5:03`, `1:02:03`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds) // 60, 60)
    return f"{hours}:{minutes:02}:{round(seconds) % 60:02}" if hours else f"{minutes}:{round(seconds) % 60:02}"


def format_bytes(count: float) -> str:
    """`512 B`, `8.0 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_count(number: float) -> str:
    return f"{number:,.0f}"
