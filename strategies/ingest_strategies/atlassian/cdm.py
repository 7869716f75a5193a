"""What the CDM mappers of Jira and Confluence share."""

from typing import Any

from ingest_ray.cdm import MapContext, cdm_id

USER = "cdm.work.user"


def user_cdm_id(context: MapContext, account_id: str | None) -> str | None:
    return cdm_id(USER, context.system, account_id) if account_id else None


def present(**values: Any) -> dict[str, Any]:
    """The values that are neither None nor empty."""
    return {name: value for name, value in values.items() if value not in (None, [], "")}
