"""The elements of pages: plain HTML with names for screen readers."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from nicegui import ui

from ingest_ray.logs import escape_controls

MARKS = {"IDLE": "○", "RUNNING": "▶", "PAUSED": "⏸", "FAILED": "✕", "SUCCEEDED": "✓"}

CSS = """
:root { --ink: #1d2733; --soft: #566273; --line: #d9dde3; --paper: #f5f6f8; --accent: #1f5fa8; --bad: #a61b1b; --good: #1b6e3a; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
.nicegui-content { padding: 0; gap: 0; align-items: stretch; width: 100%; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 1rem; top: 1rem; background: #fff; padding: .5rem; z-index: 10; }
.top { display: flex; gap: 1.25rem; align-items: center; padding: .6rem 1.5rem; background: #fff; border-bottom: 1px solid var(--line); }
.top a.home { font-weight: 700; color: var(--ink); text-decoration: none; } .top .who { margin-left: auto; color: var(--soft); }
.top form { margin: 0; } .top form button { font: inherit; background: none; border: 1px solid var(--line); border-radius: 4px; padding: .2rem .7rem; cursor: pointer; }
.page { max-width: 78rem; width: 100%; margin: 0 auto; padding: 1.25rem 1.5rem 4rem; box-sizing: border-box; }
h1 { font-size: 1.4rem; line-height: 1.3; font-weight: 700; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; line-height: 1.3; font-weight: 700; margin: 1.6rem 0 .5rem; }
p { margin: 0 0 .75rem; } .soft { color: var(--soft); } .bar { display: flex; gap: .6rem; align-items: center; flex-wrap: wrap; margin: .75rem 0; }
table.plain { width: 100%; border-collapse: collapse; background: #fff; border: 1px solid var(--line); }
table.plain caption { text-align: left; color: var(--soft); padding: 0 0 .3rem; }
table.plain th { text-align: left; font-weight: 600; font-size: .85rem; color: var(--soft); background: #fafbfc; }
table.plain th, table.plain td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
table.plain .number { text-align: right; font-variant-numeric: tabular-nums; } table.plain .mono, .mono { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
.state { white-space: nowrap; } .state.FAILED { color: var(--bad); } .state.SUCCEEDED { color: var(--good); } .state.RUNNING { color: var(--accent); font-weight: 600; } .state.PAUSED { color: #8a5a00; }
.error { color: var(--bad); background: #fdf3f3; border: 1px solid #e9c4c4; border-radius: 4px; padding: .6rem .8rem; overflow-wrap: anywhere; } .error p:last-child { margin: 0; }
.empty { background: #fff; border: 1px dashed #aab2bd; border-radius: 4px; padding: 1.5rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .5rem 0; } .facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--accent); } button:focus-visible, a:focus-visible, input:focus-visible { outline: 3px solid #f0a500; outline-offset: 2px; }
.q-btn { text-transform: none; font-weight: 500; } .drawer { width: 30rem; max-width: 95vw; height: 100%; padding: 1.25rem 1.5rem; overflow-y: auto; }
.drawer .q-field, .drawer .q-select { width: 100%; } .q-dialog__inner--right { padding: 0 !important; } .q-dialog__inner--right > .drawer { max-height: 100vh !important; border-radius: 0; }
.q-card h2 { margin: 0; } .wide { width: 62rem; max-width: 95vw; padding: 1.25rem 1.5rem; }
td.actions { white-space: nowrap; text-align: right; } td.actions .q-btn { margin-left: .35rem; } table.narrow { width: auto; min-width: 18rem; }
"""


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
    with ui.element("table").classes("plain narrow" if is_narrow else "plain") as made:
        named(made, caption)
        with ui.element("thead"), ui.element("tr"):
            for name in columns:
                text_of(name, "th", "number" if name in numbers else "").props('scope="col"')
        with ui.element("tbody") as body:
            yield body


@contextmanager
def row() -> Iterator[ui.element]:
    with ui.element("tr") as made:
        yield made


def cell(text: str, classes: str = "") -> ui.label:
    return text_of(text, "td", classes)


@contextmanager
def cell_with(classes: str = "") -> Iterator[ui.element]:
    with ui.element("td").classes(classes) as made:
        yield made


class State:
    """A state in words and a mark, not in colour only."""

    def __init__(self, state: str, tag: str = "span") -> None:
        self._label = text_of("", tag, "state")
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


def named(made: ui.element, name: str) -> None:
    """The name for screen readers. As data: the text form of properties is a small language, which names of a source must not write."""
    made.props["aria-label"] = readable(name)


def readable(text: str) -> str:
    """Control characters and those that turn the direction of text, as escapes."""
    return escape_controls(text).encode("utf-8", "backslashreplace").decode()


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
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_count(number: float) -> str:
    return f"{number:,.0f}"
