"""Maps Jira's units to the common data model: projects, users, items, comments and worklogs; the others are in `cdm_relations`.

Ids are made of issue keys, as the contract defines: an issue that moves to another project gets another id, and the engine erases the
row under the old one. Rich text comes as ADF (Cloud) or wiki markup (Data Center) and becomes Markdown.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ingest_ray.cdm import CdmRow, MapContext, Row, RowMapper, cdm_id
from ingest_ray.sdk.errors import RecordError
from ingest_strategies.atlassian.cdm import USER, configured_url, is_loopback, present, user_cdm_id
from ingest_strategies.jira import cdm_relations
from ingest_strategies.jira.tables import BODY, COMMENTS, ISSUES, PROJECTS, USERS, WORKLOGS
from ingest_strategies.rich_text import adf_to_markdown, wiki_to_markdown

PROJECT, ITEM, COMMENT, WORKLOG = (
    "cdm.work.project",
    "cdm.work.item",
    "cdm.work.comment",
    "cdm.work.worklog",
)
_GATEWAY = "https://api.atlassian.com/"  # of OAuth: no browser can open it
_MOST_LISTED = 100  # links and attachments in `raw_source`, which stays small
_decode = msgspec.json.Decoder().decode


def project(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        PROJECT,
        {
            "cdm_id": cdm_id(PROJECT, context.system, row["key"]),
            "source_system": context.system,
            "source_project_key": row["key"],
            "name": row["name"],
            "description": wiki_to_markdown(row["description"] or "") or None,
            "url": _url(context, f"/browse/{row['key']}"),
            "properties": present(
                source_id=row["id"],
                project_type=row["project_type"],
                archived=row["archived"],
                lead_cdm_id=user_cdm_id(context, row["lead_id"]),
            ),
        },
    )


def user(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        USER,
        {
            "cdm_id": user_cdm_id(context, row["account_id"]),
            "source_system": context.system,
            "source_user_id": row["account_id"],
            "display_name": row["display_name"],
            "email": row["email"],
            "active": row["active"],
            "properties": present(account_type=row["account_type"], time_zone=row["time_zone"]),
        },
    )


def item(row: Row, context: MapContext) -> Iterator[CdmRow]:
    key, fields = row["key"], _object(_object(_decode(row[BODY])).get("fields"))
    yield (
        ITEM,
        {
            "cdm_id": cdm_id(ITEM, context.system, key),
            "source_system": context.system,
            "source_id": row["id"],
            "source_issue_key": key,
            "source_url": _url(context, f"/browse/{key}"),
            "project_cdm_id": cdm_id(PROJECT, context.system, row["project"]),
            "reporter_cdm_id": user_cdm_id(context, row["reporter_id"]),
            "assignee_cdm_id": user_cdm_id(context, row["assignee_id"]),
            "issue_type": row["issue_type"],
            "status": row["status"],
            "status_category": row["status_category"],
            "priority": row["priority"],
            "summary": row["summary"],
            "description": rich_text(fields.get("description")),
            "labels": row["labels"] or [],
            "created_at": row["created"],
            "updated_at": row["updated"],
            "closed_at": row["resolved"],
            "properties": present(
                resolution=row["resolution"],
                due=row["due"].isoformat() if row["due"] else None,
                creator_cdm_id=user_cdm_id(context, row["creator_id"]),
                components=row["components"],
                fix_versions=row["fix_versions"],
                parent_id=row["parent_id"],
            ),
            "raw_source": _raw_source(row, fields),
        },
    )


def comment(row: Row, context: MapContext) -> Iterator[CdmRow]:
    body = _object(_decode(row[BODY]))
    yield (
        COMMENT,
        {
            "cdm_id": cdm_id(COMMENT, context.system, _issue_key(row), row["id"]),
            "source_system": context.system,
            "source_comment_id": row["id"],
            "item_cdm_id": cdm_id(ITEM, context.system, _issue_key(row)),
            "author_cdm_id": user_cdm_id(context, row["author_id"]),
            "body": rich_text(body.get("body")),
            "created_at": row["created"],
            "updated_at": row["updated"],
            "visibility": _visibility(row["visibility"]),
            "properties": present(
                editor_cdm_id=user_cdm_id(context, row["editor_id"]),
                is_public=body.get("jsdPublic"),
            ),
        },
    )


def worklog(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """A deleted worklog makes no row: the engine erases the row that it made before."""
    if row["deleted_at"] is not None or row[BODY] is None:
        return
    body = _object(_decode(row[BODY]))
    yield (
        WORKLOG,
        {
            "cdm_id": cdm_id(WORKLOG, context.system, _issue_key(row), row["id"]),
            "source_system": context.system,
            "source_worklog_id": row["id"],
            "item_cdm_id": cdm_id(ITEM, context.system, _issue_key(row)),
            "author_cdm_id": user_cdm_id(context, row["author_id"]),
            "started_at": row["started"],
            "time_spent_seconds": row["time_spent_s"],
            "comment": rich_text(body.get("comment")),
            "visibility": _visibility(row["visibility"]),
            "properties": present(
                created_at=row["created"].isoformat() if row["created"] else None,
                updated_at=row["updated"].isoformat(),
            ),
        },
    )


def rich_text(value: Any) -> str | None:
    """A document of ADF or a text of wiki markup."""
    if value is None:
        return None
    return (wiki_to_markdown(value) if isinstance(value, str) else adf_to_markdown(value)) or None


def _issue_key(row: Row) -> str:
    key = row["issue_key"]
    if not key:
        raise RecordError("the row has no key of its issue", column="issue_key")
    return str(key)


def _url(context: MapContext, path: str) -> str | None:
    """What a person opens: the site's own address where it told one; the endpoint's may be a gateway or an internal name."""
    own, used = (
        str(url or "").rstrip("/")
        for url in (context.dataset.facts.get("site_url"), configured_url(context.endpoint.config))
    )
    base = own if own and not is_loopback(own) else used
    return None if not base or base.startswith(_GATEWAY) else f"{base}{path}"


def _visibility(text: str | None) -> str | None:
    """`{"type": "role", "value": "Developers"}` -> `role:Developers`; NULL: the readers of the issue."""
    document = _object(_decode(text)) if text else {}
    return f"{document.get('type')}:{document.get('value') or document.get('identifier')}" if document else None


def _raw_source(row: Row, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Ids, names, dates and links of the record; no bodies."""
    links = [
        present(
            id=link.get("id"),
            type=_object(link.get("type")).get("name"),
            outward=_object(link.get("outwardIssue")).get("key"),
            inward=_object(link.get("inwardIssue")).get("key"),
        )
        for link in _objects(fields.get("issuelinks"))
    ]
    files = [
        present(id=file.get("id"), filename=file.get("filename"), size=file.get("size"), created=file.get("created"))
        for file in _objects(fields.get("attachment"))
    ]
    return present(
        id=row["id"],
        key=row["key"],
        project=row["project"],
        project_id=row["project_id"],
        issue_type=row["issue_type"],
        status=row["status"],
        created=row["created"].isoformat() if row["created"] else None,
        updated=row["updated"].isoformat(),
        parent=_object(fields.get("parent")).get("key"),
        versions=[version.get("name") for version in _objects(fields.get("versions"))],
        links=links[:_MOST_LISTED],
        attachments=files[:_MOST_LISTED],
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


mappers = {
    PROJECTS.name: RowMapper("jira.projects/1", (PROJECT,), project),
    USERS.name: RowMapper("jira.users/1", (USER,), user),
    ISSUES.name: RowMapper("jira.issues/3", (ITEM,), item),
    COMMENTS.name: RowMapper("jira.comments/3", (COMMENT,), comment),
    WORKLOGS.name: RowMapper("jira.worklogs/3", (WORKLOG,), worklog),
    **cdm_relations.mappers,
}
