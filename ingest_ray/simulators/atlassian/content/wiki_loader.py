"""Loads real wiki pages from a file of `{path, title, markdown}` lines, as storage format.

Headings, lists, code fences and paragraphs are converted; all other Markdown stays plain text.
"""

import gzip
import re
from html import escape
from pathlib import Path

from ingest_ray.simulators.atlassian.server.routing import decode

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"\s*[*+-]\s+(.*)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # XML cannot hold these


def load_pages(path: Path) -> list[tuple[str, str]]:
    """(title, storage body) of every page."""
    with gzip.open(path, "rb") as lines:
        documents = [decode(line) for line in lines]
    return [(_CONTROL.sub("", str(d["title"])).strip() or "Untitled", to_storage(d["markdown"])) for d in documents]


def to_storage(markdown: str) -> str:
    parts: list[str] = []
    items: list[str] = []
    code: list[str] | None = None
    for line in _CONTROL.sub("", markdown).splitlines():
        if line.startswith("```"):
            if code is None:
                code = []
            else:
                parts.append(_code("\n".join(code)))
                code = None
            continue
        if code is not None:
            code.append(line)
            continue
        if item := _ITEM.fullmatch(line):
            items.append(f"<li><p>{escape(item.group(1), quote=False)}</p></li>")
            continue
        if items:
            parts.append(f"<ul>{''.join(items)}</ul>")
            items = []
        if heading := _HEADING.fullmatch(line):
            level = len(heading.group(1))
            parts.append(f"<h{level}>{escape(heading.group(2), quote=False)}</h{level}>")
        elif line.strip():
            parts.append(f"<p>{escape(line, quote=False)}</p>")
    if code:
        parts.append(_code("\n".join(code)))
    if items:
        parts.append(f"<ul>{''.join(items)}</ul>")
    return "".join(parts)


def _code(text: str) -> str:
    safe = text.replace("]]>", "]]]]><![CDATA[>")
    return f'<ac:structured-macro ac:name="code"><ac:plain-text-body><![CDATA[{safe}]]></ac:plain-text-body></ac:structured-macro>'
