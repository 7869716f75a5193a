"""Confluence Cloud v2: versions, labels, comments and attachments of pages."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import Page, PageAttachment, PageComment
from ingest_ray.simulators.atlassian.confluence.v2.pages import old_revision
from ingest_ray.simulators.atlassian.confluence.v2.tree import ConfluenceV2Tree
from ingest_ray.simulators.atlassian.content.clock import spell_utc
from ingest_ray.simulators.atlassian.content.rich_text import adf, storage
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, encode, reply, route

COMMENT_SORTS: dict[str, Callable[[PageComment], Any]] = {
    "created-date": lambda comment: (comment.created, comment.id),
    "modified-date": lambda comment: (comment.created, comment.id),
}


class ConfluenceV2Comments(ConfluenceV2Tree):
    # Versions, labels, comments, attachments.

    @route("GET ~/api/v2/pages/{id}/versions")
    def v2_versions(self, call: Call) -> Reply:
        return self._versions(call, "page")

    @route("GET ~/api/v2/blogposts/{id}/versions")
    def v2_blogpost_versions(self, call: Call) -> Reply:
        return self._versions(call, "blogpost")

    def _versions(self, call: Call, kind: str) -> Reply:
        page, form = self.v2_page(call, kind), self.body_format(call)

        def document(number: int) -> Json:
            sent = self.version_v2(page, number)
            if form:
                old = old_revision(number) if number < page.version else None
                body = {form: {"value": self.body_json(page, form, old)["value"], "representation": form}}
                sent[kind] = {"id": str(page.id), "title": self.content.title(page), "body": body}
            return sent

        return self.by_offset(call, self.newest_first(call, range(1, page.version + 1)), document)

    @route("GET ~/api/v2/pages/{id}/versions/{number}", "GET ~/api/v2/blogposts/{id}/versions/{number}")
    def v2_one_version(self, call: Call) -> Reply:
        page = self.v2_page(call, "page" if "/pages/" in call.path else "blogpost")
        return self._detailed(call, page.version, lambda n: self.version_v2(page, n))

    def _detailed(self, call: Call, newest: int, make: Callable[[int], Json]) -> Reply:
        number = int(call.params["number"]) if call.params["number"].isdecimal() else 0
        if not 1 <= number <= newest:
            raise self.v2_refuse(404, "Not Found")
        document = make(number) | {"contentTypeModified": False, "collaborators": []}
        around = {"prevVersion": number - 1, "nextVersion": number + 1}
        return reply(document | {name: n for name, n in around.items() if 1 <= n <= newest})

    @route("GET ~/api/v2/pages/{id}/labels")
    def v2_labels(self, call: Call) -> Reply:
        return self.labels_v2(call, self.v2_page(call).labels)

    @route("GET ~/api/v2/blogposts/{id}/labels")
    def v2_blogpost_labels(self, call: Call) -> Reply:
        return self.labels_v2(call, self.v2_page(call, "blogpost").labels)

    @route("GET ~/api/v2/pages/{id}/operations")
    def v2_operations(self, call: Call) -> Reply:
        self.v2_page(call)
        return reply({"operations": [{"operation": "read", "targetType": "page"}]})

    def comment_v2(self, page: Page, comment: PageComment, form: str, *, owner: str = "pageId") -> Json:
        author, at = self.store.people[comment.author].account_id, spell_utc(comment.created)
        document: Json = {"id": str(comment.id), "status": "current", "title": f"Re: {self.content.title(page)}"}
        if owner == "parentCommentId" or (owner == "both" and comment.parent):
            document["parentCommentId"] = str(comment.parent)
        if owner != "parentCommentId":
            document["pageId" if page.kind == "page" else "blogPostId"] = str(page.id)
        document["version"] = {
            "number": comment.version,
            "message": "",
            "minorEdit": False,
            "authorId": author,
            "createdAt": at,
        }
        document["body"] = {}
        if form:
            value = storage(comment.text, cloud=True) if form == "storage" else encode(adf(comment.text)).decode()
            document["body"] = {form: {"value": value, "representation": form}}
        if comment.inline:
            document["resolutionStatus"] = "resolved" if comment.resolved else "open"
            document["properties"] = {"inlineMarkerRef": f"{comment.id:032x}", "inlineOriginalSelection": "the text"}
        return document | {"_links": {"webui": f"/pages/{page.id}?focusedCommentId={comment.id}"}}

    def _roots(self, call: Call, kind: str, *, inline: bool) -> Reply:
        page, form = self.v2_page(call, kind), self.body_format(call)
        states, statuses = call.parameters("resolution-status"), call.parameters("status")
        roots = [
            c for c in self.content.comments(page)
            if c.inline == inline and not c.parent and (not statuses or page.status in statuses) and (not states or ("resolved" if c.resolved else "open") in states)
        ]  # fmt: skip
        return self.by_offset(
            call, self.in_order(call, roots, COMMENT_SORTS, ""), lambda c: self.comment_v2(page, c, form)
        )

    @route("GET ~/api/v2/pages/{id}/footer-comments")
    def v2_footer(self, call: Call) -> Reply:
        return self._roots(call, "page", inline=False)

    @route("GET ~/api/v2/pages/{id}/inline-comments")
    def v2_inline(self, call: Call) -> Reply:
        return self._roots(call, "page", inline=True)

    @route("GET ~/api/v2/blogposts/{id}/footer-comments")
    def v2_blogpost_footer(self, call: Call) -> Reply:
        return self._roots(call, "blogpost", inline=False)

    @route("GET ~/api/v2/blogposts/{id}/inline-comments")
    def v2_blogpost_inline(self, call: Call) -> Reply:
        return self._roots(call, "blogpost", inline=True)

    @route("GET ~/api/v2/footer-comments/{id}/children", "GET ~/api/v2/inline-comments/{id}/children")
    def v2_replies(self, call: Call) -> Reply:
        page, parent = self._comment(call)
        form = self.body_format(call)
        below = [c for c in self.content.comments(page) if c.parent == parent.id]
        ordered = self.in_order(call, below, COMMENT_SORTS, "")
        return self.by_offset(call, ordered, lambda c: self.comment_v2(page, c, form, owner="parentCommentId"))

    @route("GET ~/api/v2/footer-comments/{id}", "GET ~/api/v2/inline-comments/{id}")
    def v2_comment(self, call: Call) -> Reply:
        page, comment = self._comment(call)
        document = self.comment_v2(page, comment, self.body_format(call, single=True), owner="both")
        number = call.integer("version", comment.version)
        if not 1 <= number <= comment.version:
            raise self.v2_refuse(404, "Not Found")
        document["version"]["number"] = number
        document["_links"]["base"] = f"{self.site}/wiki"
        versions = [document["version"] | {"number": n} for n in range(comment.version, 0, -1)]
        return reply(self.with_included(call, document, versions=versions, likes=[]))

    @route("GET ~/api/v2/footer-comments/{id}/versions", "GET ~/api/v2/inline-comments/{id}/versions")
    def v2_comment_versions(self, call: Call) -> Reply:
        page, comment = self._comment(call)
        form = self.body_format(call)

        def document(number: int) -> Json:
            whole: Json = self.comment_v2(page, comment, form)
            shown = {"id": whole["id"], "title": whole["title"], "body": whole["body"]}
            version: Json = whole["version"] | {"number": number}
            return version | ({"comment": shown} if form else {})

        return self.by_offset(call, self.newest_first(call, range(1, comment.version + 1)), document)

    @route("GET ~/api/v2/footer-comments/{id}/versions/{number}", "GET ~/api/v2/inline-comments/{id}/versions/{number}")
    def v2_comment_version(self, call: Call) -> Reply:
        page, comment = self._comment(call)
        first = self.comment_v2(page, comment, "")["version"]
        return self._detailed(call, comment.version, lambda n: first | {"number": n})

    def _comment(self, call: Call) -> tuple[Page, PageComment]:
        match = self.comment_by_id(call.params["id"])
        if match is None or match[1].inline != ("/inline-comments/" in call.path):
            raise self.v2_refuse(404, "Not Found")
        return match

    def _all_comments(self, call: Call, *, inline: bool) -> Reply:
        form, readable = self.body_format(call), set(self.readable_spaces())
        matches = [
            (page, c) for page in self.store.visible_pages()
            if (page.comments or page.more_comments) and page.status == "current" and page.space in readable
            for c in self.content.comments(page) if c.inline == inline
        ]  # fmt: skip
        dates: dict[str, Callable[[tuple[Page, PageComment]], Any]] = {
            name: lambda e: (e[1].created, e[1].id) for name in COMMENT_SORTS
        }
        return self.by_offset(
            call, self.in_order(call, matches, dates, ""), lambda e: self.comment_v2(e[0], e[1], form, owner="both")
        )

    @route("GET ~/api/v2/footer-comments")
    def v2_all_footer(self, call: Call) -> Reply:
        return self._all_comments(call, inline=False)

    @route("GET ~/api/v2/inline-comments")
    def v2_all_inline(self, call: Call) -> Reply:
        return self._all_comments(call, inline=True)

    def attachment_v2(self, page: Page, file: PageAttachment) -> Json:
        author, at = self.store.people[file.author].account_id, spell_utc(file.created)
        download = f"/download/attachments/{page.id}/{quote(file.title)}?version={file.version}&cacheVersion=1&api=v2"
        webui = f"/pages/viewpageattachments.action?pageId={page.id}&preview=att{file.id}"
        document: Json = {
            "id": f"att{file.id}",
            "status": "current",
            "title": file.title,
            "createdAt": spell_utc(file.first),
            "mediaType": file.kind,
        }
        document["pageId" if page.kind == "page" else "blogPostId"] = str(page.id)
        document |= {"mediaTypeDescription": "File", "comment": "", "fileId": f"{file.id:032x}", "fileSize": file.size}
        document |= {"webuiLink": webui, "downloadLink": download, "_links": {"webui": webui, "download": download}}
        document["version"] = {
            "number": file.version,
            "message": "",
            "minorEdit": False,
            "authorId": author,
            "createdAt": at,
        }
        return document

    def _attachments(self, call: Call, kind: str) -> Reply:
        page = self.v2_page(call, kind)
        if page.attachment_fails:
            raise self.v2_refuse(400, "Cannot list the attachments")
        return self._attachment_list(call, [(page, file) for file in self.content.attachments(page)])

    def _attachment_list(self, call: Call, found: Sequence[tuple[Page, PageAttachment]]) -> Reply:
        statuses = call.parameters("status") or ["current", "archived"]
        kind, name = call.parameter("mediaType"), call.parameter("filename")
        chosen = [
            (page, file)
            for page, file in found
            if page.status in statuses and (not kind or file.kind == kind) and (not name or file.title == name)
        ]
        keys: dict[str, Callable[[tuple[Page, PageAttachment]], Any]] = {
            "created-date": lambda each: (each[1].first, each[1].id),
            "modified-date": lambda each: (each[1].created, each[1].id),
        }
        ordered = self.in_order(call, chosen, keys, "")
        return self.by_offset(call, ordered, lambda each: self.attachment_v2(*each), default=50)

    @route("GET ~/api/v2/pages/{id}/attachments")
    def v2_attachments(self, call: Call) -> Reply:
        return self._attachments(call, "page")

    @route("GET ~/api/v2/blogposts/{id}/attachments")
    def v2_blogpost_attachments(self, call: Call) -> Reply:
        return self._attachments(call, "blogpost")

    @route("GET ~/api/v2/attachments/{id}")
    def v2_attachment(self, call: Call) -> Reply:
        match = self.attachment_by_id(call.params["id"])
        if match is None:
            raise self.v2_refuse(404, "Not Found")
        page, file = match
        document = self.attachment_v2(page, file)
        number = call.integer("version", file.version)
        if not 1 <= number <= file.version:
            raise self.v2_refuse(404, "Not Found")
        document["version"] = self.attachment_version(file, number)
        document["_links"]["base"] = f"{self.site}/wiki"
        versions = [self.attachment_version(file, n) for n in range(file.version, 0, -1)]
        return reply(self.with_included(call, document, versions=versions, labels=[]))

    def attachment_version(self, file: PageAttachment, number: int) -> Json:
        """The last version, or the first: no file here has more than two that differ."""
        is_last = number == file.version
        author, at = (file.author, file.created) if is_last else (file.creator, file.first)
        document: Json = {"number": number, "message": "", "minorEdit": False}
        return document | {"authorId": self.store.people[author].account_id, "createdAt": spell_utc(at)}

    def _file(self, call: Call) -> PageAttachment:
        match = self.attachment_by_id(call.params["id"])
        if match is None:
            raise self.v2_refuse(404, "Not Found")
        return match[1]

    @route("GET ~/api/v2/attachments/{id}/versions")
    def v2_attachment_versions(self, call: Call) -> Reply:
        file = self._file(call)
        numbers = self.newest_first(call, range(1, file.version + 1))
        return self.by_offset(call, numbers, lambda n: self.attachment_version(file, n))

    @route("GET ~/api/v2/attachments/{id}/versions/{number}")
    def v2_attachment_version(self, call: Call) -> Reply:
        file = self._file(call)
        return self._detailed(call, file.version, lambda n: self.attachment_version(file, n))

    @route("GET ~/api/v2/attachments/{id}/labels", "GET ~/api/v2/attachments/{id}/footer-comments")
    def v2_below_attachment(self, call: Call) -> Reply:
        self._file(call)
        return self.by_offset(call, [], lambda n: n)

    @route("GET ~/api/v2/attachments")
    def v2_all_attachments(self, call: Call) -> Reply:
        readable = set(self.readable_spaces())
        found = [
            (page, file)
            for page in self.store.visible_pages()
            if (page.attachments or page.more_attachments) and page.space in readable
            for file in self.content.attachments(page)
        ]
        return self._attachment_list(call, found)
