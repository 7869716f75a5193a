"""Lists the links of a body in Confluence's storage format."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from ingest_strategies.rich_text.storage_tree import TooDeep, attribute, child, name_of, parse, text_of

Element = etree._Element
JIRA_MACROS = ("jira", "jiraissues")
"""https://confluence.atlassian.com/doc/jira-issues-macro-139380.html"""


@dataclass(frozen=True)
class Link:
    """A link of a page: to a URL, to another page by title (and space key, for another space), to a file of a page, or to issues."""

    text: str
    url: str | None = None
    title: str | None = None
    space_key: str | None = None
    content_id: str | None = None
    file: str | None = None
    macro: Mapping[str, str] | None = None
    """The parameters of a macro that shows issues of Jira."""


def storage_links(body: str) -> Iterator[Link]:
    """In their order, with repetitions. A body that cannot be parsed has none."""
    try:
        tree = parse(body)
    except TooDeep:
        return
    for element in tree.iter():
        link = _link_of(element)
        if link is not None:
            yield link


def _link_of(element: Element) -> Link | None:
    name = name_of(element)
    if name == "a":
        href = (element.get("href") or "").strip()
        return Link(text_of(element), url=href) if href and not href.startswith("#") else None
    if name in ("ac:structured-macro", "ac:macro") and attribute(element, "ac:name") in JIRA_MACROS:
        return Link("", macro=_parameters(element))
    if name not in ("ac:link", "ac:image"):
        return None
    text = text_of(child(element, "ac:link-body", "ac:plain-text-link-body"))
    targets = {name_of(node): node for node in reversed(list(element.iter()))}
    page = next((targets[tag] for tag in ("ri:page", "ri:blog-post", "ri:content-entity") if tag in targets), None)
    file, url = targets.get("ri:attachment"), attribute(targets.get("ri:url"), "ri:value")
    title = attribute(page, "ri:content-title") or None
    if file is not None:
        return Link(text, file=attribute(file, "ri:filename") or None, title=title)
    if url:
        return Link(text, url=url)
    if page is None:
        return None
    space_key, content_id = attribute(page, "ri:space-key") or None, attribute(page, "ri:content-id") or None
    return Link(text, title=title, space_key=space_key, content_id=content_id)


def _parameters(macro: Element) -> dict[str, str]:
    nodes = (node for node in macro if name_of(node) in ("ac:parameter", "ac:default-parameter"))
    return {attribute(node, "ac:name"): text_of(node) for node in nodes}
