"""What hangs on an issue: transitions, watchers, votes, remote links, properties, edit metadata, and the values of `expand`.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ingest_ray.simulators.atlassian.content.rich_text import Text, wiki
from ingest_ray.simulators.atlassian.jira.endpoints.issue_endpoints import JiraIssues
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.rendering.issues import JsonRenderer
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, RequestRefused, reply, route

PROPERTY = "simulator.origin"
_RELATIONSHIPS = ("mentioned in", "links to")


def watchers_of(issue: Issue, people: int) -> list[int]:
    return [(issue.id + n * 3) % people for n in range(issue.id % 5)]


def voters_of(issue: Issue, people: int) -> list[int]:
    return [(issue.id + 1 + n * 5) % people for n in range(issue.id // 3 % 3)]


def remote_links_of(issue: Issue, rest: str) -> list[Json]:
    """One issue in seven has links to pages elsewhere; one of those has a global id."""
    links = []
    for n in range(1 + issue.id % 2 if issue.id % 7 == 0 else 0):
        number, url = issue.id * 10 + n, f"https://wiki.example.com/pages/{issue.id}?n={n}"
        link: Json = {"id": number, "self": f"{rest}/issue/{issue.id}/remotelink/{number}"}
        link |= {"application": {"type": "com.example.wiki", "name": "Wiki"}} if n else {}
        link |= {"globalId": f"pageId={issue.id}"} if not n else {}
        link |= {"relationship": _RELATIONSHIPS[n], "object": {"url": url, "title": f"Page {n} of {issue.id}"}}
        links.append(link)
    return links


def html(text: Text | None) -> str:
    return f"<p>{escape(wiki(text or (), cloud=True))}</p>" if text else ""


class JiraIssueParts(JiraIssues):
    def cloud_only(self, call: Call) -> JsonRenderer:
        if not self.cloud:
            raise RequestRefused(self.unknown_path_reply(call))
        return self.renderer(call)

    @route("GET /rest/api/{api}/issue/{key}/transitions")
    def transitions(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        wide = "transitions.fields" in call.parameters("expand")
        transitions = [t | ({"fields": {}} if wide else {}) for t in self._transitions(renderer, issue)]
        wanted = call.parameter("transitionId")
        return reply({"expand": "transitions", "transitions": [t for t in transitions if wanted in ("", t["id"])]})

    def _transitions(self, renderer: JsonRenderer, issue: Issue) -> list[Json]:
        extras: Json = {"isGlobal": True, "isInitial": False, "isConditional": False, "isAvailable": True}
        return [
            {"id": str(11 + 10 * n), "name": status.name, "to": renderer.status(status)}
            | (extras | {"hasScreen": False, "isLooped": n == issue.status} if self.cloud else {})
            for n, status in enumerate(self.store.configuration.statuses)
        ]

    @route("GET /rest/api/{api}/issue/{key}/watchers")
    def watchers(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        people = watchers_of(issue, len(self.store.people))
        document: Json = {"self": f"{renderer.rest}/issue/{issue.id}/watchers", "isWatching": 0 in people}
        return reply(document | {"watchCount": len(people), "watchers": [renderer.person(n) for n in people]})

    @route("GET /rest/api/{api}/issue/{key}/votes")
    def votes(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        people = voters_of(issue, len(self.store.people))
        document: Json = {"self": f"{renderer.rest}/issue/{issue.id}/votes", "hasVoted": 0 in people}
        return reply(document | {"votes": len(people), "voters": [renderer.person(n) for n in people]})

    @route("GET /rest/api/{api}/issue/{key}/remotelink")
    def remote_links(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        links, wanted = remote_links_of(issue, renderer.rest), call.parameter("globalId")
        if not wanted:
            return reply(links)
        found = [link for link in links if link.get("globalId") == wanted]
        if not found:
            raise self.refuse(404, f"No link found with globalId '{wanted}'.")
        return reply(found[0])

    @route("GET /rest/api/{api}/issue/{key}/remotelink/{link}")
    def remote_link(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        for link in remote_links_of(issue, renderer.rest):
            if str(link["id"]) == call.params["link"]:
                return reply(link)
        raise self.refuse(404, f"No remote link found with id '{call.params['link']}'.")

    @route("GET /rest/api/{api}/issue/{key}/properties")
    def properties(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        where = f"{renderer.rest}/issue/{issue.id}/properties/{PROPERTY}"
        return reply({"keys": [{"self": where, "key": PROPERTY}] if issue.id % 2 else []})

    @route("GET /rest/api/{api}/issue/{key}/properties/{property}")
    def property(self, call: Call) -> Reply:
        self.renderer(call)
        issue = self.issue_of(call)
        if call.params["property"] != PROPERTY or issue.id % 2 == 0:
            raise self.refuse(404, f"The property '{call.params['property']}' was not found.")
        return reply({"key": PROPERTY, "value": {"issue": issue.id}})

    @route("GET /rest/api/{api}/issue/{key}/editmeta")
    def edit_metadata(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        self.issue_of(call)
        return reply(self._edit_metadata(renderer))

    def _edit_metadata(self, renderer: JsonRenderer) -> Json:
        fields: Json = {}
        for spec in self.store.configuration.fields:
            if not spec.schema or spec.id in ("created", "updated", "creator", "workratio", "status"):
                continue
            document: Json = {"required": spec.id == "summary", "schema": spec.schema, "name": spec.name}
            document |= {"operations": ["set"]} | ({"key": spec.id} if self.cloud else {"fieldId": spec.id})
            fields[spec.id] = document
        return {"fields": fields}

    # `expand`.

    def render_issues(
        self, renderer: JsonRenderer, issues: Sequence[Issue], fields: list[str], expand: Iterable[str]
    ) -> list[Json]:
        wide = frozenset(part.split(".")[0] for part in expand)
        documents = super().render_issues(renderer, issues, fields, wide)
        for issue, document in zip(issues, documents, strict=True):
            if "renderedFields" in wide:
                document["renderedFields"] = self._rendered(issue, fields)
            if "transitions" in wide:
                document["transitions"] = self._transitions(renderer, issue)
            if "operations" in wide:
                group = {"id": "view.issue.opsbar", "links": [], "groups": []}
                document["operations"] = {"linkGroups": [group]}
            if "editmeta" in wide:
                document["editmeta"] = self._edit_metadata(renderer)
            if "versionedRepresentations" in wide:
                document["versionedRepresentations"] = {n: {"1": v} for n, v in document.pop("fields", {}).items()}
        return documents

    def _rendered(self, issue: Issue, fields: list[str]) -> Json:
        """HTML for rich text, dates as people read them, null for all other fields."""
        content, dates = self.store.content, {"created": issue.created, "updated": issue.updated}
        rendered: Json = dict.fromkeys(fields)
        for name in fields:
            if name in ("description", "environment"):
                rendered[name] = html(getattr(content, name)(issue))
            elif name == "customfield_10022":
                rendered[name] = html(content.root_cause(issue))
            elif name in dates:
                rendered[name] = self.renderers["2"].time(dates[name])[:16].replace("T", " ")
            elif name == "comment":
                comments = [{"id": str(c.id), "body": html(c.text)} for c in content.comments(issue)]
                rendered[name] = {
                    "comments": comments,
                    "total": len(comments),
                    "startAt": 0,
                    "maxResults": len(comments),
                }
        return rendered

    # What happens to a site while it is read.

    def finish_reply(self, call: Call, response: Reply) -> Reply:
        if self.traps.strikes("security-mid-run", call.path, self.store.draws):
            for number in self.store.draws.sample(b"mid-run", sorted(self.store.issues), 5):
                if self.store.searchable(self.store.issues[number]):
                    self.store.edit(number, security=0, updated=self.store.clock.now())
        if self.traps.strikes("field-removed", call.path, self.store.draws):
            fields = self.store.configuration.fields
            fields[:] = [spec for spec in fields if spec.id != "customfield_10016"]
        return super().finish_reply(call, response)

    def split_errors(self, documents: list[Any]) -> tuple[list[Any], list[Json]]:
        """With the trap `issue-errors`, bulkfetch names some issues in `issueErrors` instead of giving them."""
        share = self.traps.number("issue-errors") / 100
        if not share:
            return documents, []
        kept, errors = [], []
        for document in documents:
            if self.store.draws.chance(b"issue-error", int(document["id"]), share):
                errors.append({"id": document["id"], "errorMessage": "The issue could not be retrieved."})
            else:
                kept.append(document)
        return kept, errors
