"""What hangs on an issue, from its body or from a request for each issue: links, attachments, watchers, voters, requests."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from msgspec import Raw, Struct

from ingest_ray.http.errors import NotThere
from ingest_strategies.atlassian.attachment_files import AttachmentFile, AttachmentStore
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.instants import instant
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.jira.api.client import Api, IssueSelection
from ingest_strategies.jira.api.listing_pages import list_cursored
from ingest_strategies.jira.issue_tables import ATTACHMENTS, ISSUE_LINKS, REMOTE_LINKS, REQUESTS, VOTES, WATCHERS
from ingest_strategies.jira.reading.rows import Item
from ingest_strategies.jira.reading.value_types import NamedObject, Project

REQUEST_ROOT = "/rest/servicedeskapi/request"
PARENT = "Parent"


class ChangeFields(Struct, gc=False):
    updated: str | None = None
    project: Project | None = None


class Head(Struct, gc=False):
    id: str
    key: str | None = None
    fields: ChangeFields | None = None


class ChildLists(Struct, gc=False):
    issuelinks: list[Raw] | None = None
    attachment: list[Raw] | None = None
    parent: Raw = Raw(b"null")


class IssueChildren(Struct, gc=False):
    fields: ChildLists | None = None


class LinkType(Struct, gc=False):
    name: str | None = None
    inward: str | None = None
    outward: str | None = None


class OtherIssue(Struct, gc=False):
    id: str | None = None
    key: str | None = None


class Link(Struct, gc=False):
    id: str
    type: LinkType | None = None
    inwardIssue: OtherIssue | None = None
    outwardIssue: OtherIssue | None = None


class FileHead(Struct, gc=False):
    id: str
    filename: str | None = None
    size: int | None = None
    mimeType: str | None = None


class CountField(Struct, gc=False):
    watchCount: int | None = None
    votes: int | None = None


class CountFields(Struct, gc=False):
    watches: CountField | None = None
    votes: CountField | None = None


class Counts(Struct, gc=False):
    fields: CountFields | None = None


class People(Struct, gc=False):
    watchers: list[Raw] | None = None
    voters: list[Raw] | None = None


_head, _children, _link, _other = decoder(Head), decoder(IssueChildren), decoder(Link), decoder(OtherIssue)
_file, _counts, _people, _raws = decoder(FileHead), decoder(Counts), decoder(People), decoder(list[Raw])
_raw, _named = decoder(Raw), decoder(NamedObject)
Children = Callable[[Api, Raw], list[Item]]
_BASE = ("project", "updated")
SELECTIONS = {
    ISSUE_LINKS.name: IssueSelection((*_BASE, "issuelinks", "parent")),
    ATTACHMENTS.name: IssueSelection((*_BASE, "attachment")),
    REMOTE_LINKS.name: IssueSelection(_BASE),
    WATCHERS.name: IssueSelection((*_BASE, "watches")),
    VOTES.name: IssueSelection((*_BASE, "votes")),
    REQUESTS.name: IssueSelection(_BASE),
}


def issue_context(body: Raw) -> dict[str, Any]:
    """Of the issue that its children hang on. Raises `BrokenAnswer` for one without an id."""
    head = _head(body)
    updated: datetime | None = None
    if head.fields and head.fields.updated:
        try:
            updated = instant(head.fields.updated)
        except ValueError:
            updated = None  # its rows go to quarantine
    project = head.fields.project if head.fields else None
    context = {"issue.id": head.id, "issue.key": head.key, "issue.updated": updated}
    return context | {"issue.project": project.key if project else None}


def links_of(api: Api, body: Raw) -> list[Item]:
    """A link is in both of its issues, with one id; the parent is a link of its child."""
    context, lists = issue_context(body), _children(body).fields or ChildLists()
    items = [Item(link, context | link_context(link)) for link in lists.issuelinks or ()]
    if bytes(lists.parent) != b"null":
        parent: OtherIssue | None = attempted(_other, lists.parent)
        if parent is None:  # its row has no id, and goes to quarantine
            return [*items, Item(lists.parent, context)]
        words = {"link.id": f"parent-{context['issue.id']}", "link.type": PARENT, "link.direction": "outward"}
        other = {"link.other_id": parent.id, "link.other_key": parent.key}
        items.append(Item(lists.parent, context | words | other))
    return items


def link_context(body: Raw) -> dict[str, Any]:
    """Without an id where the link is odd: its row goes to quarantine alone."""
    link: Link | None = attempted(_link, body)
    if link is None:
        return {}
    kind, is_outward = link.type or LinkType(), link.outwardIssue is not None
    other = link.outwardIssue or link.inwardIssue or OtherIssue()
    words = {"link.id": link.id, "link.type": kind.name, "link.direction": "outward" if is_outward else "inward"}
    words |= {"link.description": kind.outward if is_outward else kind.inward}
    return words | {"link.other_id": other.id, "link.other_key": other.key}


def attachments_of(api: Api, body: Raw) -> list[Item]:
    context, lists = issue_context(body), _children(body).fields or ChildLists()
    return [Item(file, context) for file in lists.attachment or ()]


def stored_attachment(api: Api, store: AttachmentStore, item: Item) -> Item:
    """The item with the address of its bytes."""
    file = attempted(_file, item.body)
    if file is None or file.size is None:
        return Item(item.body, {**item.context, "object.fault": "the attachment has no id or no size"})
    if api.deployment == CLOUD:
        path = api.client.path(f"attachment/content/{quote(file.id, safe='')}")
    else:
        path = f"/secure/attachment/{quote(file.id, safe='')}/{quote(file.filename or '', safe='')}"
    stored = store.store(AttachmentFile(file.id, 1, file.size, file.mimeType, path))
    values = {"object.uri": stored.uri, "object.sha256": stored.sha256, "object.fault": stored.fault}
    return Item(item.body, {**item.context, **values})


# By a request for each issue. What is not there any more, or is no request of a service desk, has none.


def remote_links_of(api: Api, body: Raw) -> list[Item]:
    context = issue_context(body)
    try:
        bodies = api.client.get(f"issue/{context['issue.id']}/remotelink", _raws)
    except NotThere:
        return []
    return [Item(link, context) for link in bodies]


def watchers_of(api: Api, body: Raw) -> list[Item]:
    counts = attempted(_counts, body, Counts()).fields
    if counts and counts.watches and counts.watches.watchCount == 0:
        return []
    return _people_of(api, body, "watchers")


def voters_of(api: Api, body: Raw) -> list[Item]:
    counts = attempted(_counts, body, Counts()).fields
    if counts and counts.votes and counts.votes.votes == 0:
        return []
    return _people_of(api, body, "votes")


def _people_of(api: Api, body: Raw, name: str) -> list[Item]:
    context = issue_context(body)
    try:
        people = api.client.get(f"issue/{context['issue.id']}/{name}", _people)
    except NotThere:
        return []
    return [Item(person, context) for person in (people.watchers if name == "watchers" else people.voters) or ()]


def requests_of(api: Api, body: Raw) -> list[Item]:
    """https://developer.atlassian.com/cloud/jira/service-desk/rest/api-group-request/"""
    context = issue_context(body)
    path = f"{REQUEST_ROOT}/{context['issue.id']}"
    try:
        request = api.client.http.get(path, _raw, {"expand": "requestType"})
        slas = list(list_cursored(api.client, f"{path}/sla"))
    except NotThere:
        return []
    joined = b"[" + b",".join(map(bytes, slas)) + b"]"
    return [Item(request, context | {"request.slas": joined})]


CHILDREN: Mapping[str, Children] = {
    ISSUE_LINKS.name: links_of,
    ATTACHMENTS.name: attachments_of,
    REMOTE_LINKS.name: remote_links_of,
    WATCHERS.name: watchers_of,
    VOTES.name: voters_of,
    REQUESTS.name: requests_of,
}
ONE_REQUEST_EACH = frozenset({REMOTE_LINKS.name, WATCHERS.name, VOTES.name, REQUESTS.name})
