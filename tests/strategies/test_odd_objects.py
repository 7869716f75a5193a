"""Objects that the vendor's files allow and nobody expects: each row lands, or is alone in quarantine; nothing else is lost."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from msgspec import Raw
from pydantic import JsonValue

from ingest_ray.http.errors import BrokenAnswer
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.types import Endpoint, RunState
from ingest_ray.simulators.atlassian import simulate
from ingest_strategies.atlassian.tables import dataset_of
from ingest_strategies.confluence import listed_tables as listed
from ingest_strategies.confluence import tables as wiki_tables
from ingest_strategies.confluence.api import cloud as wiki_cloud
from ingest_strategies.confluence.api import data_center as wiki_dc
from ingest_strategies.confluence.api.contract import FetchedContent, Space, space_from_v1, space_from_v2
from ingest_strategies.confluence.reading import rows as wiki_rows
from ingest_strategies.confluence.reading.content_rows import Site
from ingest_strategies.confluence.reading.items import Item as WikiItem
from ingest_strategies.confluence.reading.items import PageRef
from ingest_strategies.jira import tables as jira_tables
from ingest_strategies.jira.api.client import IssueSelection
from ingest_strategies.jira.api.nested_lists import is_truncated
from ingest_strategies.jira.reading import rows as jira_rows
from ingest_strategies.jira.reading.issue_items import IssueItems
from ingest_strategies.jira.reading.reader import history_item, is_allowed
from tests.fuzz.corruption import damaging
from tests.strategies.confluence import site as wiki
from tests.strategies.jira import site as jira
from tests.strategies.odd_objects import make_object

MANY = range(60)
ENDPOINT = Endpoint(endpoint_id="odd", template="jira.http", config={})
Rejects = list[tuple[str, str | None]]


def rejecting(rejects: Rejects) -> Callable[[Mapping[str, JsonValue], str, str | None], None]:
    def reject(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
        json.dumps(dict(raw))
        rejects.append((reason, column))

    return reject


def raws(documents: Sequence[Any]) -> list[Raw]:
    return [Raw(json.dumps(document).encode()) for document in documents]


def issue_documents(random: Random, kind: str) -> list[dict[str, Any]]:
    spec, names = {
        "cloud": ("jira-cloud-v3", ("PageOfComments", "PageOfWorklogs", "PageOfChangelogs", "Project", "User")),
        "dc": ("jira-dc-10.3", ("CommentsWithPaginationJsonBean", "WorklogWithPaginationBean", "ChangelogBean", "ProjectBean", "UserBean")),
    }[kind]  # fmt: skip

    def make(name: str, **fixed: Any) -> Any:
        return None if random.random() < 0.1 else make_object(spec, name, random, **fixed)

    comments, worklogs, changelog, project, user = names
    return [
        {
            "id": str(10_000 + number),
            "key": f"A-{number}",
            "changelog": make(changelog),
            "fields": {
                "comment": make(comments),
                "worklog": make(worklogs),
                "project": make(project, key="A", id="1"),
                "updated": random.choice(["2026-01-02T03:04:05.000+0000", None, "9999-12-31T23:59:59-01:00"]),
                "labels": random.choice([["a", None], None, [], ["b"]]),
                "reporter": make(user),
                "assignee": make(user),
                "customfield_1": random.choice(["text", {"name": "x"}, ["y"], 3, None, True]),
            },
        }
        for number in MANY
    ]


@pytest.mark.parametrize("kind", ["cloud", "dc"])
@pytest.mark.parametrize("seed", range(4))
def test_odd_issues_and_their_children_land_or_are_alone_in_quarantine(kind: str, seed: int) -> None:
    random, rejects = Random(seed), Rejects()
    bodies = raws(issue_documents(random, kind))
    facts: dict[str, JsonValue] = {
        "deployment": "Cloud" if kind == "cloud" else "Server",
        "custom": {"customfield_1": "text"},
    }
    columns = jira_tables.issue_columns(
        [jira_tables.FieldColumn("customfield_1", "customfield_1", "text", "string")], is_cloud=kind == "cloud"
    )
    issues = dataset_of(ENDPOINT, jira_tables.ISSUES, None, facts, columns=columns)
    context = ReadContext(schema_of(issues), 1 << 20, 1 << 30, rejecting(rejects))
    builder = jira_rows.RowBuilder(issues, schema_of(issues))
    batch = builder.batch([jira_rows.Item(body, {}) for body in bodies], context.reject)
    assert batch.num_rows + len(rejects) == len(bodies)
    assert batch.num_rows, "most odd members are in no column"
    assert {column for _, column in rejects} <= {None, "updated", "project", "project_id"}
    for body in bodies:
        assert is_allowed(body, {"A"})
        is_truncated(body, IssueSelection((), ("comment", "worklog", "changelog")))
    for table in (jira_tables.COMMENTS, jira_tables.WORKLOGS):
        dataset, found = dataset_of(ENDPOINT, table, None, dict(facts)), Rejects()
        children = [item for body in bodies for item in issue_items(dataset, found).of_issue(body)]
        of_issues = len(found)
        batch = jira_rows.RowBuilder(dataset, schema_of(dataset)).batch(children, rejecting(found))
        assert batch.num_rows + len(found) - of_issues == len(children)
    histories = [
        history_item("1", "A-1", body)
        for document in issue_documents(random, kind)
        for body in raws((document["changelog"] or {}).get("histories") or [])
    ]
    dataset, found = dataset_of(ENDPOINT, jira_tables.CHANGELOGS, None, dict(facts)), Rejects()
    batch = jira_rows.RowBuilder(dataset, schema_of(dataset)).batch(histories, rejecting(found))
    assert batch.num_rows + len(found) == len(histories)


def issue_items(dataset: Any, rejects: Rejects) -> IssueItems:
    unreached: Any = None
    return IssueItems(unreached, dataset, rejecting(rejects), keys_only=True)


@pytest.mark.parametrize(
    ("spec", "schema", "table"),
    [
        ("jira-cloud-v3", "Project", jira_tables.PROJECTS),
        ("jira-cloud-v3", "User", jira_tables.USERS),
        ("jira-dc-10.3", "ProjectBean", jira_tables.PROJECTS),
        ("jira-dc-10.3", "UserBean", jira_tables.USERS),
    ],
)
def test_odd_projects_and_users_land_or_are_alone_in_quarantine(spec: str, schema: str, table: Any) -> None:
    random, rejects = Random(5), Rejects()
    bodies = raws([make_object(spec, schema, random, **({"id": "1"} if random.random() < 0.9 else {})) for _ in MANY])
    dataset = dataset_of(ENDPOINT, table, None, {"deployment": "Cloud"})
    builder = jira_rows.RowBuilder(dataset, schema_of(dataset))
    batch = builder.batch([jira_rows.Item(body, {}) for body in bodies], rejecting(rejects))
    assert batch.num_rows + len(rejects) == len(bodies)


SPACE = Space("1", "S", None, "global", "current", Raw(b"{}"))
CASES: list[tuple[str, str, bool, wiki_tables.ContentTable]] = [
    ("confluence-cloud-v2", "PageBulk", True, wiki_tables.PAGES),
    ("confluence-cloud-v2", "BlogPostBulk", True, wiki_tables.PAGES),
    ("confluence-cloud-v2", "Version", True, wiki_tables.REVISIONS),
    ("confluence-cloud-v2", "Label", True, wiki_tables.LABELS),
    ("confluence-cloud-v2", "SpaceBulk", True, wiki_tables.SPACES),
    ("confluence-cloud-v1", "Content", True, wiki_tables.COMMENTS),
    ("confluence-cloud-v1", "Content", True, wiki_tables.ATTACHMENTS),
    ("confluence-cloud-v2", "Task", True, listed.TASKS),
    ("confluence-cloud-v2", "CustomContentBulk", True, listed.CUSTOM_CONTENTS),
    ("confluence-cloud-v2", "FolderSingle", True, listed.FOLDERS),
    ("confluence-cloud-v2", "WhiteboardSingle", True, listed.WHITEBOARDS),
    ("confluence-cloud-v2", "DatabaseSingle", True, listed.DATABASES),
    ("confluence-cloud-v2", "SmartLinkSingle", True, listed.EMBEDS),
    ("confluence-cloud-v2", "SpaceRoleAssignment", True, listed.SPACE_ROLES),
    ("confluence-cloud-v2", "Like", True, wiki_tables.LIKES),
    ("confluence-cloud-v1", "Group", True, listed.GROUPS),
    ("confluence-cloud-v1", "User", True, listed.MEMBERS),
    ("confluence-dc-10.0", "Content", False, wiki_tables.PAGES),
    ("confluence-dc-10.0", "Content", False, wiki_tables.COMMENTS),
    ("confluence-dc-10.0", "Content", False, wiki_tables.ATTACHMENTS),
    ("confluence-dc-10.0", "Version", False, wiki_tables.REVISIONS),
    ("confluence-dc-10.0", "Label", False, wiki_tables.LABELS),
    ("confluence-dc-10.0", "Space", False, wiki_tables.SPACES),
]


@pytest.mark.parametrize(("spec", "schema", "is_cloud", "table"), CASES)
def test_odd_content_lands_or_is_alone_in_quarantine(
    spec: str, schema: str, is_cloud: bool, table: wiki_tables.ContentTable
) -> None:
    random, rejects = Random(schema + table.name), Rejects()
    bodies = raws([make_object(spec, schema, random, id=str(number)) for number in MANY])
    dataset = dataset_of(ENDPOINT, table, None, {"deployment": "Cloud"})
    items = []
    for body in bodies:
        space = SPACE
        if table is wiki_tables.SPACES:
            try:
                space = (space_from_v2 if is_cloud else space_from_v1)(body)
            except BrokenAnswer:
                continue
        items.append(WikiItem(FetchedContent(body), space, PageRef("7", "page"), extra={"type": "page"}))
    builder = wiki_rows.RowBuilder(dataset, schema_of(dataset), Site(is_cloud, "https://x"))
    batch: pa.RecordBatch = builder.batch(items, rejecting(rejects))
    assert batch.num_rows + len(rejects) == len(items)
    assert items
    if table is wiki_tables.PAGES:
        for body in bodies:
            make = (
                (lambda b: wiki_cloud.tree_page("page", b))
                if is_cloud
                else (lambda b: wiki_dc.tree_page(b, "page", "current"))
            )
            with suppress(BrokenAnswer):
                assert make(body).id >= 0


class Rewriting:
    """Answers of a site, changed by a function of the path and the document."""

    def __init__(self, change: Callable[[str, Any], None]) -> None:
        self.change = change

    def of(self, path: str, body: bytes) -> bytes:
        document = json.loads(body) if body[:1] in (b"{", b"[") else None
        if document is None:
            return body
        self.change(path, document)
        return json.dumps(document).encode()


def objects_of(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
        for value in document.values():
            yield from objects_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from objects_of(value)


def issues_in(document: Any) -> Iterator[dict[str, Any]]:
    for found in objects_of(document):
        if isinstance(found.get("fields"), dict) and "id" in found:
            yield found["fields"]


def null_comments(path: str, document: Any) -> None:
    for fields in issues_in(document):
        fields["comment"] = None


def totals_one_too_high(path: str, document: Any) -> None:
    for found in objects_of(document):
        if isinstance(found.get("worklogs"), list) and found["worklogs"]:
            found["total"] += 1


def odd_labels(path: str, document: Any) -> None:
    for fields in issues_in(document):
        fields["labels"] = ["a", None]


def objects_in_string_fields(path: str, document: Any) -> None:
    for fields in issues_in(document):
        if "customfield_10021" in fields:
            fields["customfield_10021"] = {"value": "an app fills it"}
    if path.endswith("/field"):
        for field in document:
            if field["id"] == "customfield_10021":
                field["schema"] = {"type": "string", "custom": "app:thing"}


def no_authors(path: str, document: Any) -> None:
    for found in objects_of(document):
        for name in ("author", "updateAuthor", "creator", "reporter"):
            found.pop(name, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "unit"),
    [
        (null_comments, "jira.issues"),
        (null_comments, "jira.comments"),
        (totals_one_too_high, "jira.issues"),
        (totals_one_too_high, "jira.worklogs"),
        (odd_labels, "jira.issues"),
        (objects_in_string_fields, "jira.issues"),
        (no_authors, "jira.comments"),
    ],
)
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_an_odd_member_costs_no_issue(tmp_path: Path, mode: str, change: Callable[[str, Any], None], unit: str) -> None:
    with simulate(mode=mode, issues=60, projects=1, frozen=True) as sim:  # type: ignore[arg-type]
        with damaging(sim.url.rstrip("/"), Rewriting(change)) as url:  # type: ignore[arg-type]
            lake = jira.Lake(tmp_path, jira.endpoint_of(sim, base_url=url, retry_wait_s=0.001), unit=unit)
            summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert summary.rows.quarantined == 0
        if unit == "jira.issues":
            assert lake.rows().keys() == jira.issues_of(sim).keys()
        elif unit == "jira.worklogs" or change is not null_comments:
            children = dict(jira.children_of(sim, unit.rpartition(".")[2].rstrip("s")))
            assert len(lake.rows()) >= len(children)


def empty_adf(path: str, document: Any) -> None:
    for found in objects_of(document):
        if isinstance(found.get("body"), dict):
            found["body"]["atlas_doc_format"] = {}


def null_people(path: str, document: Any) -> None:
    for found in objects_of(document):
        for name in ("by", "createdBy", "authorId", "ownerId", "author"):
            if name in found:
                found[name] = None


def null_links(path: str, document: Any) -> None:
    if not isinstance(document, dict):
        return
    for found in objects_of(document.get("results", [])):
        for name in ("_links", "extensions", "metadata"):
            if name in found and "mediaType" not in str(found[name]):
                found[name] = None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "unit"),
    [
        (empty_adf, "confluence.page"),
        (null_people, "confluence.page"),
        (null_links, "confluence.page"),
        (empty_adf, "confluence.comment"),
        (null_people, "confluence.revision"),
    ],
)
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_an_odd_member_costs_no_content(
    tmp_path: Path, mode: str, change: Callable[[str, Any], None], unit: str
) -> None:
    with simulate("confluence", mode, pages=60, spaces=2, frozen=True) as sim:  # type: ignore[arg-type]
        with damaging(sim.url.rstrip("/"), Rewriting(change)) as url:  # type: ignore[arg-type]
            lake = wiki.Lake(tmp_path, wiki.endpoint_of(sim, base_url=url, retry_wait_s=0.001), unit=unit)
            summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert summary.rows.quarantined == 0
        if unit == "confluence.page":
            assert lake.rows().keys() == wiki.pages_of(sim).keys()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_a_date_beyond_the_last_year_is_alone_in_quarantine(tmp_path: Path, mode: str) -> None:
    with simulate("confluence", mode, pages=40, spaces=1, frozen=True) as sim:  # type: ignore[arg-type]
        odd = min(number for number, page in wiki.pages_of(sim).items() if page["status"] == "current")

        def change(path: str, document: Any) -> None:
            for found in objects_of(document):
                if found.get("id") == odd and "title" in found:
                    found["createdAt"] = "9999-12-31T23:59:59-01:00"
                    if "history" in found:
                        found["history"]["createdDate"] = "9999-12-31T23:59:59-01:00"

        with damaging(sim.url.rstrip("/"), Rewriting(change)) as url:  # type: ignore[arg-type]
            lake = wiki.Lake(tmp_path, wiki.endpoint_of(sim, base_url=url, retry_wait_s=0.001))
            summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert wiki.pages_of(sim).keys() - lake.rows().keys() == {odd}


@pytest.mark.slow
def test_a_project_or_space_without_a_key_is_an_error_and_never_empty(tmp_path: Path) -> None:
    def change(path: str, document: Any) -> None:
        for found in objects_of(document):
            if found.get("key") in ("BOR", "SP001"):
                found.pop("key")

    with simulate(issues=40, projects=2, frozen=True) as sim:
        lake = jira.Lake(tmp_path / "j", jira.endpoint_of(sim, retry_wait_s=0.001), policy={"max_attempts": 1})
        lake.collect()
        with damaging(sim.url.rstrip("/"), Rewriting(change)) as url:  # type: ignore[arg-type]
            lake.endpoint = jira.endpoint_of(sim, base_url=url, retry_wait_s=0.001)
            summary = lake.run()
        assert summary.state is RunState.FAILED
        assert "without a key" in str(summary.error)
    with simulate("confluence", pages=40, spaces=2, frozen=True) as sim:
        pages = wiki.Lake(tmp_path / "w", wiki.endpoint_of(sim, retry_wait_s=0.001), policy={"max_attempts": 1})
        pages.collect()
        with damaging(sim.url.rstrip("/"), Rewriting(change)) as url:  # type: ignore[arg-type]
            pages.endpoint = wiki.endpoint_of(sim, base_url=url, retry_wait_s=0.001)
            summary = pages.run()
        assert summary.state is RunState.FAILED
        assert "has no key" in str(summary.error)
