"""The words of Confluence's inline elements: links, images, emoticons, and macros without a body."""

from collections.abc import Iterator, Mapping

from lxml import etree

from ingest_strategies.rich_text.document import Run
from ingest_strategies.rich_text.storage_names import DISPLAY, EMOTICONS, LABELS, SILENT
from ingest_strategies.rich_text.storage_tree import attribute, descendant, name_of

Element = etree._Element


def link_label(element: Element) -> str:
    """The name of the page, person, file, space or URL that an element without text of its own refers to."""
    for node in element.iter():
        name = name_of(node)
        if name == "ri:user":
            return user_label(node)
        if name == "ri:attachment":
            return f"[file: {attribute(node, 'ri:filename')}]"
        if name == "ri:url":
            return attribute(node, "ri:value")
        if name in ("ri:page", "ri:blog-post"):
            return attribute(node, "ri:content-title")
        if name == "ri:content-entity":
            return attribute(node, "ri:content-title") or attribute(node, "ri:content-id")
        if name in ("ri:space", "ri:shortcut"):
            return attribute(node, "ri:space-key") or f"{attribute(node, 'ri:key')}@{attribute(node, 'ri:parameter')}"
    return attribute(element, "ac:anchor")


def user_label(user: Element) -> str:
    name = attribute(user, "ri:account-id") or attribute(user, "ri:userkey") or attribute(user, "ri:username")
    return f"@{name}" if name else ""


def image_runs(image: Element) -> Iterator[Run]:
    """An image of a URL as Markdown's image; an attached one as the name of its file and its alternative text."""
    alt = attribute(image, "ac:alt") or image.get("alt") or attribute(image, "ac:title") or image.get("title") or ""
    url = attribute(descendant(image, "ri:url"), "ri:value") or (image.get("src") or "")
    file = attribute(descendant(image, "ri:attachment"), "ri:filename")
    if url and not url.startswith("data:"):
        yield Run(alt or url.rpartition("/")[2], href=url, is_image=True)
    elif file:
        yield Run(f"[file: {file}]" if not alt or alt == file else f"[file: {file}, {alt}]")
    elif alt:
        yield Run(f"[image: {alt}]")


def emoticon_text(emoticon: Element) -> str:
    fallback = attribute(emoticon, "ac:emoji-fallback")
    if fallback and not fallback.startswith(":"):
        return fallback
    name = attribute(emoticon, "ac:name")
    return EMOTICONS.get(name) or fallback or attribute(emoticon, "ac:emoji-shortname") or (f":{name}:" if name else "")


def macro_label(name: str, parameters: Mapping[str, str]) -> str:
    """A macro without a body: `[Done]` for a status, else its name and parameters: `[include: Release notes]`."""
    if name in SILENT:
        return ""
    for label in LABELS.get(name, ()):
        if parameters.get(label):
            return f"[{parameters[label]}]"
    shown = [f"{key} {value}".strip() for key, value in parameters.items() if value.strip() and key not in DISPLAY]
    return f"[{name}: {', '.join(shown)}]" if shown else f"[{name}]" if name else ""
