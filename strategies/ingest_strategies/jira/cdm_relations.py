"""Maps what relates Jira's items, sprints and people to the common data model: transitions, links, sprints, readers, groups and members."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from ingest_ray.cdm import CdmRow, MapContext, Row, RowMapper, cdm_id
from ingest_ray.sdk.errors import RecordError
from ingest_strategies.atlassian.cdm import present, user_cdm_id
from ingest_strategies.jira.issue_tables import ACLS, ISSUE_LINKS, REMOTE_LINKS
from ingest_strategies.jira.list_tables import GROUP_MEMBERS, GROUPS, SPRINT_ISSUES, SPRINTS
from ingest_strategies.jira.reading.issue_children import PARENT
from ingest_strategies.jira.tables import CHANGELOGS

ITEM, TRANSITION, LINK, SPRINT, ACCESS = (
    "cdm.work.item",
    "cdm.work.transition",
    "cdm.work.link",
    "cdm.work.sprint",
    "cdm.work.access",
)
GROUP, MEMBER = "cdm.identity.group", "cdm.identity.member"
_decode = msgspec.json.Decoder().decode


def transition(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """One row for each field that an entry of the changelog changes."""
    key = _issue_key(row)
    changes = _decode(row["items"]) if row["items"] else []
    for number, change in enumerate(changes if isinstance(changes, list) else ()):
        if not isinstance(change, dict):
            raise RecordError("a change is no object", column="items")
        yield (
            TRANSITION,
            {
                "cdm_id": cdm_id(TRANSITION, context.system, key, row["id"], number),
                "source_system": context.system,
                "item_cdm_id": cdm_id(ITEM, context.system, key),
                "author_cdm_id": user_cdm_id(context, row["author_id"]),
                "at": row["created"],
                "field": _text(change.get("fieldId")) or _text(change.get("field")),
                "from_value": _text(change.get("from")),
                "from_text": _text(change.get("fromString")),
                "to_value": _text(change.get("to")),
                "to_text": _text(change.get("toString")),
                "properties": present(name=change.get("field"), field_type=change.get("fieldtype")),
            },
        )


def issue_link(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """A link is in both of its issues: the outward side makes its row, `from` the issue that blocks to the one that is blocked."""
    if row["direction"] != "outward" or not row["other_issue_key"]:
        return
    is_parent = row["type"] == PARENT
    yield (
        LINK,
        {
            "cdm_id": cdm_id(LINK, context.system, row["id"]),
            "source_system": context.system,
            "from_item_cdm_id": cdm_id(ITEM, context.system, _issue_key(row)),
            "to_item_cdm_id": cdm_id(ITEM, context.system, row["other_issue_key"]),
            "link_type": "parent" if is_parent else row["type"],
            "direction": row["direction"],
            "properties": present(description=row["description"], to_source_id=row["other_issue_id"]),
        },
    )


def remote_link(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        LINK,
        {
            "cdm_id": cdm_id(LINK, context.system, f"remote-{row['id']}"),
            "source_system": context.system,
            "from_item_cdm_id": cdm_id(ITEM, context.system, _issue_key(row)),
            "link_type": row["relationship"] or "remote",
            "direction": "outward",
            "url": row["url"],
            "properties": present(title=row["title"], global_id=row["global_id"]),
        },
    )


def sprint(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        SPRINT,
        {
            "cdm_id": cdm_id(SPRINT, context.system, row["id"]),
            "source_system": context.system,
            "name": row["name"],
            "state": row["state"],
            "board_source_id": row["board_id"],
            "started_at": row["started_at"],
            "ended_at": row["ended_at"],
            "completed_at": row["completed_at"],
            "goal": row["goal"] or None,
        },
    )


def sprint_issue(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """The membership of an item in a sprint."""
    yield (
        LINK,
        {
            "cdm_id": cdm_id(LINK, context.system, f"sprint-{row['sprint_id']}-{row['issue_id']}"),
            "source_system": context.system,
            "from_item_cdm_id": cdm_id(ITEM, context.system, _issue_key(row)),
            "to_item_cdm_id": cdm_id(SPRINT, context.system, row["sprint_id"]),
            "link_type": "sprint",
            "direction": "outward",
        },
    )


def access(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """One row for each reader: `user:<id>`, `group:<id>`, `class:<id>` or `anyone`."""
    key = _issue_key(row)
    for reader in dict.fromkeys(row["readers"]):
        kind, _, principal = reader.partition(":")
        yield (
            ACCESS,
            {
                "cdm_id": cdm_id(ACCESS, context.system, key, kind, principal or kind),
                "source_system": context.system,
                "item_cdm_id": cdm_id(ITEM, context.system, key),
                "principal_id": principal or kind,
                "principal_type": kind,
                "permission": "read",
                "properties": present(
                    is_restricted=row["is_restricted"],
                    security_level=row["security_level"],
                    principal_cdm_id=_principal(context, kind, principal),
                ),
            },
        )


def group(row: Row, context: MapContext) -> Iterator[CdmRow]:
    document = {"cdm_id": cdm_id(GROUP, context.system, row["id"]), "source_system": context.system}
    yield GROUP, document | {"name": row["name"]}


def member(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        MEMBER,
        {
            "cdm_id": cdm_id(MEMBER, context.system, row["group_id"], row["account_id"]),
            "source_system": context.system,
            "group_cdm_id": cdm_id(GROUP, context.system, row["group_id"]),
            "user_cdm_id": user_cdm_id(context, row["account_id"]),
            "properties": present(active=row["active"]),
        },
    )


def _principal(context: MapContext, kind: str, principal: str) -> str | None:
    if kind == "user":
        return user_cdm_id(context, principal)
    return cdm_id(GROUP, context.system, principal) if kind == "group" else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _issue_key(row: Row) -> str:
    key = row["issue_key"]
    if not key:
        raise RecordError("the row has no key of its issue", column="issue_key")
    return str(key)


mappers = {
    CHANGELOGS.name: RowMapper("jira.changelogs/1", (TRANSITION,), transition),
    ISSUE_LINKS.name: RowMapper("jira.issue_links/1", (LINK,), issue_link),
    REMOTE_LINKS.name: RowMapper("jira.remote_links/1", (LINK,), remote_link),
    SPRINTS.name: RowMapper("jira.sprints/1", (SPRINT,), sprint),
    SPRINT_ISSUES.name: RowMapper("jira.sprint_issues/1", (LINK,), sprint_issue),
    ACLS.name: RowMapper("jira.acl/1", (ACCESS,), access),
    GROUPS.name: RowMapper("jira.groups/1", (GROUP,), group),
    GROUP_MEMBERS.name: RowMapper("jira.group_members/1", (MEMBER,), member),
}
