"""Maps the links of a page to `cdm.doc.link` rows: to pages, to other sites, and to issues of Jira.

A link to an issue is a Jira macro (`key`, or the keys in its JQL), an address of the issue, or a smart link, which is an address, too.
The issue's `system` is the unit's own where the address is of the same site, or where the macro names the site's own Jira; others are
in the endpoint's `jira_sites`. https://confluence.atlassian.com/doc/jira-issues-macro-139380.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ingest_ray.cdm import MapContext, Row, cdm_id, hashed
from ingest_strategies.atlassian.cdm import configured_url, present
from ingest_strategies.confluence.links import LinkTarget, target_of
from ingest_strategies.rich_text import Link

ITEM, LINK, ISSUE = "cdm.doc.item", "cdm.doc.link", "cdm.work.item"
OWN_SERVERS = frozenset({"", "jira", "system jira"})
"""What macros call the Jira of the same site, or the only one that is linked. https://jira.atlassian.com/browse/CONFCLOUD-34114"""
_KEYS = re.compile(r"\b(?:issue)?key\s*(?:=|in)\s*(\([^)]*\)|\"?[A-Za-z][A-Za-z0-9_]+-\d+\"?)", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]+-\d+")


def page_links(row: Row, context: MapContext, links: Sequence[Link]) -> Iterator[dict[str, Any]]:
    """All but the macros, and but files of the page: the attachment unit makes those links."""
    for link in links:
        if link.macro is None and link.file is None:
            yield _page_link(row, context, link)


def _page_link(row: Row, context: MapContext, link: Link) -> dict[str, Any]:
    addressed = target_of(link.url, _sites(context)) if link.url else LinkTarget()
    elsewhere = _other_issue(context, link.url) if addressed is None else None
    found = addressed or LinkTarget()
    target, title = link.content_id or found.content_id, link.title or found.title
    space_key = link.space_key or found.space_key or row["space_key"]
    address = link.url or f"{space_key}:{link.title or target}"
    issue = cdm_id(ISSUE, context.system, found.issue_key) if found.issue_key else elsewhere
    return _row(row, context, address) | {
        "to_item_cdm_id": cdm_id(ITEM, context.system, target) if target else issue,
        "url": link.url,
        "link_type": "external" if addressed is None else "internal",
        "properties": present(text=link.text, title=title, space_key=space_key if title else None),
    }


def issue_links(row: Row, context: MapContext, links: Sequence[Link]) -> Iterator[dict[str, Any]]:
    """Of the Jira macros, one for each key that they name."""
    for link in links:
        if link.macro is None:
            continue
        server, number = link.macro.get("server", ""), link.macro.get("serverId", "")
        system = _jira_sites(context).get(number) or _jira_sites(context).get(server)
        if system is None and server.strip().lower() in OWN_SERVERS:
            system = context.system
        for key in macro_keys(link.macro):
            yield _row(row, context, f"macro {number or server} {key}") | {
                "to_item_cdm_id": cdm_id(ISSUE, system, key) if system else None,
                "link_type": "internal" if system == context.system else "external",
                "properties": present(issue_key=key, server=server, server_id=number, jql=link.macro.get("jqlQuery")),
            }


def macro_keys(parameters: Mapping[str, str]) -> list[str]:
    """The issues that a Jira macro names: its key, or those that its JQL compares `key` with."""
    if key := _KEY.fullmatch(parameters.get("key", "").strip()):
        return [key[0].upper()]
    query = parameters.get("jqlQuery") or parameters.get("jql") or ""
    found = (key.upper() for part in _KEYS.findall(query) for key in _KEY.findall(part))
    return list(dict.fromkeys(found))


def _row(row: Row, context: MapContext, address: str) -> dict[str, Any]:
    return {
        "cdm_id": cdm_id(LINK, context.system, hashed(f"{row['id']} {address}")),
        "source_system": context.system,
        "source_link_id": None,
        "from_item_cdm_id": cdm_id(ITEM, context.system, row["id"]),
        "created_at": row["modified_at"],
    }


def _other_issue(context: MapContext, url: str | None) -> str | None:
    for site, system in _jira_sites(context).items():
        target = target_of(url, (site,)) if url and "://" in site else None
        if target is not None and target.issue_key:
            return cdm_id(ISSUE, system, target.issue_key)
    return None


def _jira_sites(context: MapContext) -> Mapping[str, str]:
    sites = context.endpoint.config.get("jira_sites")
    return {str(site): str(system) for site, system in sites.items()} if isinstance(sites, dict) else {}


def _sites(context: MapContext) -> tuple[str, ...]:
    """The site's own address, which it told when its metadata was collected, and the one that it is reached by."""
    return str(context.dataset.facts.get("web_root") or ""), configured_url(context.endpoint.config)
