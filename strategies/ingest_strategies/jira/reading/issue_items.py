"""Makes the items of each dataset from the bodies of issues: the issues themselves, their comments and worklogs, what hangs on them, and who
may read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Dataset
from ingest_strategies.atlassian.attachment_files import AttachmentStore, open_attachment_store
from ingest_strategies.atlassian.batches import Reject
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.readers import AclUnknown
from ingest_strategies.jira.api.client import Api, IssueSelection
from ingest_strategies.jira.api.responses import CommentPage, WorklogPage
from ingest_strategies.jira.columns import ACL
from ingest_strategies.jira.issue_tables import ACLS, ATTACHMENTS
from ingest_strategies.jira.reading import issue_children
from ingest_strategies.jira.reading.acl import FIELDS as ACL_FIELDS
from ingest_strategies.jira.reading.acl import IssueAcls
from ingest_strategies.jira.reading.issue_children import ONE_REQUEST_EACH, issue_context
from ingest_strategies.jira.reading.rows import Item, raw_of
from ingest_strategies.jira.tables import COMMENTS, ISSUES, TABLES, WORKLOGS

MOST_UNKNOWN = (
    10  # of a slice in which no readers could be determined: more than that is the account's right, not the issues'
)
SELECTIONS = {
    **issue_children.SELECTIONS,
    ISSUES.name: IssueSelection(("*all",), ("comment", "worklog")),
    COMMENTS.name: IssueSelection(("comment", "project"), ("comment",)),
    WORKLOGS.name: IssueSelection(("worklog", "project"), ("worklog",)),
    ACLS.name: IssueSelection(ACL_FIELDS),
}


class ListField(Struct, gc=False):
    comment: CommentPage | None = None
    worklog: WorklogPage | None = None


class IssueLists(Struct, gc=False):
    id: str
    key: str | None = None
    fields: ListField | None = None


class VisibleHead(Struct, gc=False):
    visibility: Raw = Raw(b"null")


_lists, _visible = decoder(IssueLists), decoder(VisibleHead)


def comments_of(body: Raw) -> list[Item]:
    issue = _lists(body)
    comments = issue.fields.comment if issue.fields else None
    context = {"issue.id": issue.id, "issue.key": issue.key}
    return [Item(comment, context) for comment in (comments and comments.comments) or ()]


def worklogs_of(body: Raw) -> list[Item]:
    issue = _lists(body)
    worklogs = issue.fields.worklog if issue.fields else None
    context = {"issue.id": issue.id, "issue.key": issue.key}
    return [Item(worklog, context) for worklog in (worklogs and worklogs.worklogs) or ()]


@dataclass
class IssueItems:
    """Of one slice of one dataset. An issue whose lists are odd, or whose readers are not known, goes to quarantine alone."""

    api: Api
    dataset: Dataset
    reject: Reject
    keys_only: bool = False
    without_readers: int = 0
    with_readers: int = 0
    store: AttachmentStore | None = field(init=False, default=None)
    acls: IssueAcls | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        name = self.dataset.name
        if self.keys_only:
            return
        self.store = open_attachment_store(self.api.client) if name == ATTACHMENTS.name else None
        has_acl = ACL[0] in TABLES[name].columns and self.api.client.config.acl == "required"
        self.acls = IssueAcls(self.api) if has_acl or name == ACLS.name else None

    @property
    def selection(self) -> IssueSelection:
        selection = SELECTIONS[self.dataset.name]
        if self.acls is None or "*all" in selection.fields:
            return selection
        recorded = self.dataset.facts.get("people_fields")
        people = [str(name) for name in recorded] if isinstance(recorded, list) else []
        return replace(selection, fields=tuple(dict.fromkeys([*selection.fields, *ACL_FIELDS, *people])))

    def of_page(self, bodies: Sequence[Raw]) -> list[Item]:
        client = self.api.client
        if self.dataset.name in ONE_REQUEST_EACH:
            found = list(client.map_concurrently(self.of_issue, iter(bodies)))
        else:
            found = [self.of_issue(body) for body in bodies]
        items = [item for of_one in found for item in of_one]
        store = self.store
        if store is None:
            return items
        return list(
            client.map_concurrently(lambda item: issue_children.stored_attachment(self.api, store, item), iter(items))
        )

    def of_issue(self, body: Raw) -> list[Item]:
        try:
            items = self._items(body)
            return self._with_readers(body, items) if self.acls is not None else items
        except BrokenAnswer as error:
            self.reject(raw_of(Item(body, {})), error.message, None)
        except AclUnknown as error:
            self.without_readers += 1
            self.reject(raw_of(Item(body, {})), error.message, "readers")
        return []

    def _items(self, body: Raw) -> list[Item]:
        match self.dataset.name:
            case ISSUES.name:
                return [Item(body, {})]
            case COMMENTS.name:
                return comments_of(body)
            case WORKLOGS.name:
                return worklogs_of(body)
            case ACLS.name:
                return [Item(body, issue_context(body))]
            case name:
                return issue_children.CHILDREN[name](self.api, body)

    def _with_readers(self, body: Raw, items: list[Item]) -> list[Item]:
        """Raises `AclUnknown` where the readers of the issue are not known."""
        assert self.acls is not None
        if not items:
            return []
        acl = self.acls.read_acl(body)
        self.with_readers += 1
        if self.dataset.name not in (COMMENTS.name, WORKLOGS.name):
            columns = self.acls.columns(body, acl)
            return [Item(item.body, {**item.context, **columns}) for item in items]
        visible = []
        for item in items:
            try:
                columns = self.acls.comment_context(acl, body, _visible(item.body).visibility)
            except (AclUnknown, BrokenAnswer) as error:
                self.reject(raw_of(item), error.message, "readers")
                continue
            visible.append(Item(item.body, {**item.context, **columns}))
        return visible

    def finish(self, name: str) -> None:
        """Raises `SourceUnavailable` where the readers of no issue could be determined, and there are many."""
        if self.without_readers > MOST_UNKNOWN and not self.with_readers:
            raise SourceUnavailable(f"{name}: the readers of none of {self.without_readers} issues can be determined")
