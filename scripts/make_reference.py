"""Writes docs/reference: every command with its options, and every template with its fields, as the program itself shows them."""

import io
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

os.environ.pop("COLUMNS", None)

import typer

from ingest_ray.cli.app import app
from ingest_ray.cli.command_order import ORDER
from ingest_ray.cli.tables.templates import show_template
from ingest_ray.service.endpoints.templates import template_of

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
NOTE = "Made by `scripts/make_reference.py`: what the program itself shows.\n"


def commands_page() -> str:
    group = typer.main.get_command(app)
    parts = ["# Commands\n", NOTE]
    for title, names in ORDER:
        parts.append(f"## {title}\n")
        for name in names:
            parts += _sections(name, group.commands[name])  # type: ignore[attr-defined]
    return "\n".join(parts)


def _sections(name: str, command: object, above: str = "ingest-ray") -> Iterator[str]:
    path = f"{above} {name}"
    yield f"### {path}\n"
    context = command.make_context(path, [], resilient_parsing=True, max_content_width=100, terminal_width=100)  # type: ignore[attr-defined]
    if name == "simulate":
        context.allow_extra_args = True
    yield _block(context.get_help())
    for inner, each in sorted(getattr(command, "commands", {}).items()):
        yield from _sections(inner, each, path)


def templates_page() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    parts = ["# Templates\n", NOTE]
    for title, group in (("Sources", "ingest_ray.strategies"), ("Sinks", "ingest_ray.sinks")):
        parts.append(f"## {title}\n")
        for name in project[group]:
            out = io.StringIO()
            show_template(template_of(name), out)
            parts += [f"### {name}\n", _block(out.getvalue())]
    return "\n".join(parts)


def _block(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip().split("\n")) + "\n"


PAGES = {"commands.md": commands_page, "templates.md": templates_page}


def main() -> int:
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
