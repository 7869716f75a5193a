"""The control endpoints under `/__sim/` for Confluence: its mutations, and the complete record of every page."""

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from typing import Any

from ingest_ray.simulators.atlassian.confluence import mutations, page_extras
from ingest_ray.simulators.atlassian.confluence.page import LABELS, Page, PageAttachment, PageComment
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.confluence.space_grants import readers_record
from ingest_ray.simulators.atlassian.content.issue_links import issue_link
from ingest_ray.simulators.atlassian.content.rich_text import storage
from ingest_ray.simulators.atlassian.server.control_endpoints import ControlEndpoints, Json


class ConfluenceControlEndpoints(ControlEndpoints):
    store: PageStore
    operations = mutations.OPERATIONS

    def records(self, kind: str, parameters: dict[str, str]) -> Iterator[Callable[[], Json]]:
        """`pages` (visible ones of any status, posts too; `space` narrows), `all`, `purged`, `spaces`, `containers`, `readers` (who may read each page), `users`, `groups`."""
        store = self.store
        brief, hashed = parameters.get("brief") == "true", parameters.get("hashed") == "true"
        match kind:
            case "pages" | "all":
                space = store.space(parameters["space"]) if "space" in parameters else None
                pages = store.visible_pages() if kind == "pages" else (p for _, p in sorted(store.pages.items()))
                return (partial(self.page, p, brief, hashed) for p in pages if space is None or p.space == space.index)
            case "purged":
                return (partial(dict, id=str(n), purged_ms=t) for n, t in sorted(store.purged.items()))
            case "spaces":
                return (
                    partial(dict, id=str(s.id), key=s.key, name=s.name, type=s.kind, archived=s.archived, homepage=str(s.homepage))
                    for s in store.spaces
                )  # fmt: skip
            case "containers":
                return (
                    partial(dict, id=str(c.id), kind=c.kind, title=c.title, parent=str(c.parent), space=store.spaces[c.space].key,
                            restricted=bool(c.restricted))
                    for _, c in sorted(store.containers.items())
                )  # fmt: skip
            case "readers":
                names = [self._name(n) for n in range(len(store.people))]
                return (partial(readers_record, store, p, names) for p in store.visible_pages())
            case "users":
                return (partial(self._user, n) for n in range(len(store.people)))
            case "groups":
                return (partial(dict, id=g.group_id, name=g.name, members=g.members) for g in store.groups)
            case _:
                raise ValueError(f"there is no kind {kind!r}")

    def _user(self, number: int) -> Json:
        person = self.store.people[number]
        return {"account_id": person.account_id, "username": person.username, "key": person.key, "display": person.display,
                "email": person.email, "active": person.active, "kind": person.kind}  # fmt: skip

    def page(self, page: Page, brief: bool, hashed: bool = False) -> Json:
        """The complete record of a page; `brief`: without a body; `hashed`: with the body's hash alone.

        Restrictions are lists of readers, one for each restricted page from the top down: a reader must be in all of them.
        """
        store, content = self.store, self.store.content
        cloud = self.server.cloud
        facts: Json = {"id": str(page.id), "type": page.kind, "status": page.status, "version": page.version}
        facts |= {"space": store.spaces[page.space].key, "parent": str(page.parent) if page.parent else None}
        facts |= {"created_ms": page.created, "modified_ms": page.modified, "title": content.title(page)}
        facts |= {"visible": store.visible(page), "poison": page.poison, "storage_fails": page.storage_fails}
        if brief:
            return facts
        body = storage(content.body(page), cloud=cloud)
        facts["body_sha256"] = sha256(body.encode()).hexdigest()
        if hashed:
            return facts
        facts["body"] = body
        facts |= {"author": self._name(page.author), "editor": self._name(page.editor), "position": page.position}
        facts["labels"] = [LABELS[n] for n in page.labels]
        facts["comments"] = [self._comment(c) for c in content.comments(page)]
        facts["attachments"] = [self._attachment(page, a) for a in content.attachments(page)]
        facts["versions"] = [self._version(page, n) for n in range(1, page.version + 1)]
        facts["restrictions"] = [{"page": str(n), "readers": self._readers(names)} for n, names in store.readers(page)]
        facts["ancestors"] = [str(n) for n in store.ancestors(page)]
        facts["issue"] = issue_link(page.id)
        facts["likes"] = [self._name(n) for n in page_extras.likes(content, page)]
        facts["tasks"] = [page_extras.task_record(t, self._name) for t in page_extras.tasks(content, page)]
        facts["apps"] = [str(each.id) for each in page_extras.app_contents(content, page)]
        return facts

    def _name(self, number: int) -> str:
        person = self.store.people[number]
        return person.account_id if self.server.cloud else person.key

    def _comment(self, comment: PageComment) -> Json:
        body = storage(comment.text, cloud=self.server.cloud)
        return {"id": str(comment.id), "parent": str(comment.parent) if comment.parent else None, "inline": comment.inline,
                "author": self._name(comment.author), "created_ms": comment.created, "body": body, "resolved": comment.resolved,
                "version": comment.version}  # fmt: skip

    def _attachment(self, page: Page, file: PageAttachment) -> Json:
        return {"id": f"att{file.id}", "title": file.title, "media_type": file.kind, "size": file.size, "version": file.version,
                "created_ms": file.created, "first_ms": file.first, "creator": self._name(file.creator),
                "author": self._name(file.author), "sha256": self.store.content.attachment_hash(file), "fails": page.attachment_fails}  # fmt: skip

    def _version(self, page: Page, number: int) -> Json:
        at, author, message = self.store.content.version_at(page, number)
        return {"number": number, "created_ms": at, "author": self._name(author), "message": message}

    def _readers(self, names: tuple[str, ...]) -> list[Any]:
        groups = self.store.groups
        return [
            {"type": "user", "id": self._name(int(n[1:]))} if n[0] == "u"
            else {"type": "group", "id": groups[int(n[1:])].group_id, "name": groups[int(n[1:])].name}
            for n in names
        ]  # fmt: skip
