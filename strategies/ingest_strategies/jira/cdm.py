"""Jira's units in the common data model: projects, users, items, comments and worklogs.

The ids are made of keys, as the contract has them: an issue that moves to another project gets another one, and the engine erases the
row under the old one. Rich text comes as ADF (Cloud) or wiki markup (Data Center) and becomes Markdown.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ingest_ray.cdm import CdmRow, MapContext, Row, RowMapper, cdm_id
from ingest_ray.sdk.errors import RecordError
from ingest_strategies.jira.tables import BODY, COMMENTS, ISSUES, PROJECTS, USERS, WORKLOGS
from ingest_strategies.rich_text import adf_to_markdown, wiki_to_markdown

PROJECT, USER, ITEM, COMMENT, WORKLOG = (
    "cdm.work.project",
    "cdm.work.user",
    "cdm.work.item",
    "cdm.work.comment",
    "cdm.work.worklog",
)
_GATEWAY = "https://api.atlassian.com/"  # of OAuth: no person can open it
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
            "url": _site(context, f"/browse/{row['key']}"),
            "properties": _given(
                source_id=row["id"],
                project_type=row["project_type"],
                archived=row["archived"],
                lead_cdm_id=_user(context, row["lead_id"]),
            ),
        },
    )


def user(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        USER,
        {
            "cdm_id": _user(context, row["account_id"]),
            "source_system": context.system,
            "source_user_id": row["account_id"],
            "display_name": row["display_name"],
            "email": row["email"],
            "active": row["active"],
            "properties": _given(account_type=row["account_type"], time_zone=row["time_zone"]),
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
            "source_url": _site(context, f"/browse/{key}"),
            "project_cdm_id": cdm_id(PROJECT, context.system, row["project"]),
            "reporter_cdm_id": _user(context, row["reporter_id"]),
            "assignee_cdm_id": _user(context, row["assignee_id"]),
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
            "properties": _given(
                resolution=row["resolution"],
                due=row["due"].isoformat() if row["due"] else None,
                creator_cdm_id=_user(context, row["creator_id"]),
                components=row["components"],
                fix_versions=row["fix_versions"],
                parent_id=row["parent_id"],
            ),
            "raw_source": _bounded(row, fields),
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
            "author_cdm_id": _user(context, row["author_id"]),
            "body": rich_text(body.get("body")),
            "created_at": row["created"],
            "updated_at": row["updated"],
            "visibility": _visibility(row["visibility"]),
            "properties": _given(
                editor_cdm_id=_user(context, row["editor_id"]),
                is_public=body.get("jsdPublic"),
            ),
        },
    )


def worklog(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """The trace of a deleted worklog makes no row: the one that was made of it before is erased."""
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
            "author_cdm_id": _user(context, row["author_id"]),
            "started_at": row["started"],
            "time_spent_seconds": row["time_spent_s"],
            "comment": rich_text(body.get("comment")),
            "visibility": _visibility(row["visibility"]),
            "properties": _given(
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


def _user(context: MapContext, account_id: str | None) -> str | None:
    return cdm_id(USER, context.system, account_id) if account_id else None


def _issue_key(row: Row) -> str:
    key = row["issue_key"]
    if not key:
        raise RecordError("the row does not tell the key of its issue", column="issue_key")
    return str(key)


def _site(context: MapContext, path: str) -> str | None:
    base = str(context.endpoint.config.get("base_url") or "").rstrip("/")
    return None if not base or base.startswith(_GATEWAY) else f"{base}{path}"


def _visibility(text: str | None) -> str | None:
    """`{"type": "role", "value": "Developers"}` -> `role:Developers`; NULL: whoever sees the issue."""
    found = _object(_decode(text)) if text else {}
    return f"{found.get('type')}:{found.get('value') or found.get('identifier')}" if found else None


def _bounded(row: Row, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Ids, names, dates and links of the record; no bodies."""
    links = [
        _given(
            id=link.get("id"),
            type=_object(link.get("type")).get("name"),
            outward=_object(link.get("outwardIssue")).get("key"),
            inward=_object(link.get("inwardIssue")).get("key"),
        )
        for link in _objects(fields.get("issuelinks"))
    ]
    files = [
        _given(id=file.get("id"), filename=file.get("filename"), size=file.get("size"), created=file.get("created"))
        for file in _objects(fields.get("attachment"))
    ]
    return _given(
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
        links=links[:MOST_LISTED],
        attachments=files[:MOST_LISTED],
    )


MOST_LISTED = 100  # links and attachments in `raw_source`, which stays small


def _given(**values: Any) -> dict[str, Any]:
    """Only what is there."""
    return {name: value for name, value in values.items() if value not in (None, [], "")}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


mappers = {
    PROJECTS.name: RowMapper("jira.projects/1", (PROJECT,), project),
    USERS.name: RowMapper("jira.users/1", (USER,), user),
    ISSUES.name: RowMapper("jira.issues/1", (ITEM,), item),
    COMMENTS.name: RowMapper("jira.comments/1", (COMMENT,), comment),
    WORKLOGS.name: RowMapper("jira.worklogs/1", (WORKLOG,), worklog),
}
